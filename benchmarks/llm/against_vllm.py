"""The pipeline against plain `vllm.LLM.generate` on exactly the same prompts, in one run.

`python -m benchmarks.llm.against_vllm`: builds conversations of the sample logs with the
packaged SmolLM2 on CPU, collects every request that the memory rests on (retries with the
error included), and gives all of them to the raw engine at once, in sending order. Run it on
an idle machine: the engine takes all cores, and so does the pipeline.

Throughput is tokens sent and received per second of wall time after start-up. The raw engine
knows no order, no look-up and no dependence: what it does is the ceiling. A small log cannot
reach it, because the last slices leave the engine half empty: a conversation is a chain of six
rounds of calls. So a second figure tells the throughput while there is enough to do: from
the first answer until 80% of the tokens have been answered; it is what a long log tends to.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.llm.command import run
from benchmarks.llm.raw_vllm import raw_throughput
from jobs.last_plan import last_plan
from jobs.llm_gateways import ANSWERS_DIR, llms_of
from jobs.local_models import LocalModels
from jobs.rebuild import recorded_answers
from operators.llm.call import Answer, Request
from operators.llm.journal import AnswerJournal
from operators.llm.order import sending_order
from operators.llm.spec import AnyLlm, VllmLlm
from pipelines.plan import Plan
from pipelines.slice_build import build_slice
from transforms.frame import conversations_of
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse, open_warehouse
from transforms.warehouse.read import read_table

_BUSY_SHARE = 0.8
_SHIPPED = Path("pipelines") / "conversation_memory_llm.yaml"
_LOGS = Path("samples") / "logs"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        log = _log(work / "log.jsonl", options.messages, options.conversations)
        pipeline = _pipeline(work / "pipeline.yaml", options.slice_chars)
        arguments = [str(pipeline), "--workers", str(options.workers)]
        with _Timeline(work / "warehouse") as timeline:
            built = run(log, work / "warehouse", arguments)
        with open_warehouse(work / "warehouse", read_only=True) as warehouse:
            plan = last_plan(warehouse)
            requests = recorded_requests(warehouse, plan)
        (llm,) = llms_of(plan)
        assert isinstance(llm, VllmLlm)
        raw = raw_throughput(llm, requests)
    result = _result(built.seconds, built.report["spent"], raw, len(requests))
    result["ratio_while_busy"] = round(timeline.busy_speed() / result["raw"]["tokens_per_s"], 3)
    print(json.dumps(result, indent=2))
    print(
        f"pipeline / raw engine: {result['ratio']:.2f} in tokens/s; "
        f"{result['ratio_while_busy']:.2f} until 80% was answered"
    )


def recorded_requests(warehouse: Warehouse, plan: Plan) -> list[Request]:
    """Every request that the memory rests on, in sending order.

    They are made once more from the messages, with the recorded answers: nothing is asked.
    """
    messages = read_table(warehouse, "messages")
    conversations = conversations_of(messages)
    listening = _Listening(recorded_answers(warehouse, conversations))
    build_slice(messages, [], None, plan.steps, listening)
    return sending_order(listening.heard.values())


class _Timeline(threading.Thread):
    """Tokens answered over time, as the journal of a run that is under way tells it."""

    def __init__(self, warehouse: Path) -> None:
        super().__init__(daemon=True)
        self._folder = warehouse / JOURNAL_DIR / ANSWERS_DIR
        self._over = threading.Event()
        self._samples: list[tuple[float, int]] = []

    def __enter__(self) -> "_Timeline":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(1.0):
            tokens = sum(
                a.tokens_in + a.tokens_out for a in AnswerJournal(self._folder, "-").load()
            )
            if tokens:
                self._samples.append((time.perf_counter(), tokens))

    def busy_speed(self) -> float:
        """Tokens per second from the first answer until most have been answered."""
        (start, first), wanted = self._samples[0], _BUSY_SHARE * max(t for _, t in self._samples)
        end, last = next(sample for sample in self._samples if sample[1] >= wanted)
        return (last - first) / max(end - start, 1.0)


class _Listening(LocalModels):
    """Answers from what is recorded, and keeps the requests."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._known = {answer.call_id: answer for answer in answers}
        self.heard: dict[str, Request] = {}

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        asked = {request.call_id(llm): request for request in requests}
        self.heard |= asked
        return [self._known[request.call_id(llm)] for request in requests]


def _result(
    seconds: float, spent: dict[str, Any], raw: dict[str, float], requests: int
) -> dict[str, Any]:
    tokens = spent["tokens_in"] + spent["tokens_out"]
    raw_tokens = raw["tokens_in"] + raw["tokens_out"]
    speed, raw_speed = tokens / seconds, raw_tokens / raw["seconds"]
    return {
        "calls": int(spent["calls"]),
        "requests_to_raw": requests,
        "pipeline": {
            "seconds": round(seconds, 1),
            "tokens_in": int(spent["tokens_in"]),
            "tokens_out": int(spent["tokens_out"]),
            "cached_share": round(spent["cached_tokens"] / spent["tokens_in"], 3),
            "tokens_per_s": round(speed, 1),
            "output_tokens_per_s": round(spent["tokens_out"] / seconds, 1),
        },
        "raw": {
            "seconds": round(raw["seconds"], 1),
            "tokens_in": int(raw["tokens_in"]),
            "tokens_out": int(raw["tokens_out"]),
            "cached_share": round(raw["cached_tokens"] / raw["tokens_in"], 3),
            "tokens_per_s": round(raw_speed, 1),
            "output_tokens_per_s": round(raw["tokens_out"] / raw["seconds"], 1),
        },
        "ratio": round(speed / raw_speed, 3),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _log(path: Path, messages: int, conversations: int) -> Path:
    """The first messages of each sample log, dealt in runs to conversations of their own."""
    lines: list[str] = []
    for source in sorted(_LOGS.glob("*.jsonl")):
        head = [json.loads(line) for line in source.read_text("utf-8").splitlines()[:messages]]
        size = -(-len(head) // conversations)
        for place, line in enumerate(head):
            line["conversation_id"] += f"-{place // size}"
            lines.append(json.dumps(line, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _pipeline(path: Path, slice_chars: int) -> Path:
    text = _SHIPPED.read_text("utf-8")
    for name, value in (("slice_chars", slice_chars), ("embedders", 1)):
        before, found, after = text.partition(f"  {name}: ")
        assert found, name
        text = before + found + str(value) + after[after.index("\n") :]
    path.write_text(text, "utf-8")
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=60, help="of each of the three logs")
    parser.add_argument("--conversations", type=int, default=6, help="per log")
    parser.add_argument("--slice-chars", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=6, help="slices that are built at a time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
