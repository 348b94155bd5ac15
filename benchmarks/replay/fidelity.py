"""What compression loses: every scorer, selection, layer budget and merger at 2x, 4x and 8x.

    python -m benchmarks.replay.fidelity [--plot replay-fidelity.svg] [--json FILE]

Histories are stretches of the sample logs with made-up statements (needles) among their
messages. Each is compressed by each method; then the same is asked of every cache:

- questions about the log: KL(full || compressed) of the next token along the full cache's own
  greedy answer, in nats, and how often both caches take the same token;
- the messages that come next in the log: the same;
- questions about the needles: the share of needles whose word is likelier than every other
  needle's ("picked"; by chance 1 in as many as there are), the share that greedy decoding gives
  ("exact"), and the log-probability of the word. The full cache is the ceiling.

Parts other than the scorer are changed one at a time around one scorer, by default the one
that picks most needles over all ratios, of equals the one with the lowest KL of answers;
`--product` tries all combinations, which takes hours. `--skip 1` measures on stretches that had
no say in a choice made without it. Text and needles are fixed: the same
machine gives the same numbers.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.replay import worker
from benchmarks.replay.fidelity_table import Measured, best_scorer, json_rows, markdown
from benchmarks.replay.histories import History, histories
from benchmarks.replay.needles import MOST
from benchmarks.replay.straying import Straying
from benchmarks.replay.variants import (
    Variant,
    ceiling,
    part_variants,
    product_variants,
    scorer_variants,
    stored_variants,
)
from operators.replay.spec import ReplaySpec
from operators.replay.weights import model_folder

_LOGS = ("assistant", "friends", "team")


def main() -> None:
    """Measure, print Markdown tables, and plot."""
    options = _options()
    began = time.perf_counter()
    with _Bench(options) as bench:
        sections = list(_sections(bench, options))
    print(f"\n{time.perf_counter() - began:.0f} s on {os.cpu_count()} cores")
    if options.json:
        rows = [row for measured in sections for row in json_rows(measured)]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    if options.plot:
        from benchmarks.replay.plot import fidelity_plot  # noqa: PLC0415

        fidelity_plot(options.plot, sections[0])


class _Bench:
    """Worker processes, the histories, and what has been measured."""

    def __init__(self, options: argparse.Namespace) -> None:
        tokenizer = worker.tokenizer(options.model)
        self.histories = histories(
            tokenizer,
            options.logs,
            slice(options.skip, options.skip + options.per_log),
            options.tokens,
            options.needles,
        )
        self._model = options.model
        self._processes = options.processes
        self._pool = ProcessPoolExecutor(
            options.processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker.start,
            initargs=(options.model,),
        )

    def __enter__(self) -> "_Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def measure(self, variants: Sequence[Variant]) -> Measured:
        """Each variant over all histories, in order."""
        # Neighbours in the list cost alike: deal them out.
        parts = [variants[at :: self._processes] for at in range(self._processes)]
        tasks = [
            (part, history, self._pool.submit(worker.measure, self._model, history, part))
            for history in self.histories
            for part in parts
            if part
        ]
        found = {variant: Straying() for variant in variants}
        for number, (part, history, task) in enumerate(tasks, start=1):
            for variant, straying in zip(part, task.result(), strict=True):
                found[variant].add(straying)
            print(f"{number}/{len(tasks)}: {history.name}", file=sys.stderr, flush=True)
        return [(variant, found[variant]) for variant in variants]


def _sections(bench: _Bench, options: argparse.Namespace) -> "Sequence[Measured]":
    """Measure and print table by table; the first one is plotted."""
    base = ReplaySpec(model=options.model, block=options.block, min_tokens=1)
    _print_histories(bench.histories)
    if options.product:
        return [_shown(bench, "Every combination", product_variants(base, options.ratios))]
    title = f"Scorers (selection {base.selection}, layers {base.layers}, merge {base.merge})"
    first = _shown(bench, title, [ceiling(base), *scorer_variants(base, options.ratios)])
    scorers = first[1:]
    around = options.around or best_scorer(scorers)
    base = base.model_copy(update={"scorer": around})
    parts = _shown(bench, f"Other parts, with {around}", part_variants(base, options.ratios))
    stored = _shown(bench, f"Stored caches, and the control, with {around}", stored_variants(base))
    return [first, parts, stored]


def _shown(bench: _Bench, title: str, variants: Sequence[Variant]) -> Measured:
    measured = bench.measure(variants)
    print(f"\n{title}\n\n{markdown(measured)}", flush=True)
    return measured


def _print_histories(found: Sequence[History]) -> None:
    for history in found:
        print(
            f"{history.name}: {len(history.messages)} messages, {len(history.needles)} needles, "
            f"{len(history.questions)} questions",
            flush=True,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=ReplaySpec().model, help="packaged name or folder")
    parser.add_argument("--ratios", type=float, nargs="+", default=[2.0, 4.0, 8.0])
    parser.add_argument("--block", type=int, default=ReplaySpec().block)
    parser.add_argument("--logs", nargs="+", default=list(_LOGS), help="of samples/logs")
    parser.add_argument("--per-log", type=int, default=1, help="stretches of each log")
    parser.add_argument("--skip", type=int, default=0, help="stretches of each log passed over")
    parser.add_argument("--tokens", type=int, default=2048, help="of the log in each stretch")
    parser.add_argument("--needles", type=int, default=MOST, help="in each stretch")
    parser.add_argument("--around", help="scorer around which other parts are changed")
    parser.add_argument("--product", action="store_true", help="all combinations: takes hours")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--plot", type=Path, help="write an SVG of the scorers here")
    options = parser.parse_args()
    options.model = str(model_folder(options.model))
    return options


if __name__ == "__main__":
    main()
