"""The pipeline with a language model at a simulated endpoint: speed, depth, tokens, recovery.

    python -m benchmarks.llm.simulated --data ../shared/data [--sets locomo_dev]
        [--conversation conv-26] [--parts build set length recovery faults prediction]

Every measurement is `memoryflow run` as a process of its own, with `benchmarks.llm.simulator`
as another: 200 ms a call, 64 at once. Takes some ten minutes.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.llm.build_speed import by_length, many_conversations, one_build
from benchmarks.llm.inputs import Message, messages_of
from benchmarks.llm.prediction import prediction
from benchmarks.llm.recovery import faults, second_run_and_kills
from benchmarks.llm.text_table import TextTable


@dataclass(frozen=True)
class _Work:
    """What to measure on: a whole set, one conversation of it, and a folder for warehouses."""

    messages: list[Message]
    conversation: list[Message]
    folder: Path
    runs: int
    kills: int
    peers: Path


_PARTS: dict[str, Callable[[_Work], list[TextTable]]] = {
    "build": lambda w: one_build(w.conversation, w.folder / "build", w.runs, w.peers),
    "set": lambda w: many_conversations(w.messages, w.folder / "set"),
    "length": lambda w: by_length(w.messages, w.folder / "length"),
    "recovery": lambda w: second_run_and_kills(w.conversation, w.folder / "recovery", w.kills),
    "faults": lambda w: faults(w.conversation, w.folder / "faults"),
    "prediction": lambda w: prediction(w.conversation, w.folder / "prediction"),
}


def main() -> None:
    """Measure, and print tables."""
    arguments = _arguments()
    tables: dict[str, list[TextTable]] = {}
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        for name in arguments.sets:
            path = arguments.data / name / "messages.jsonl.gz"
            work = _Work(
                messages_of(path),
                messages_of(path, arguments.conversation),
                (arguments.keep or Path(scratch)) / name,
                arguments.runs,
                arguments.kills,
                arguments.peers,
            )
            for part in arguments.parts:
                tables[f"{name}: {part}"] = found = _PARTS[part](work)
                for table in found:
                    print(table.text(), flush=True)
    print(f"Load average at the end: {os.getloadavg()[0]:.1f}")
    if arguments.json:
        arguments.json.write_text(_as_json(tables))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["locomo_dev"])
    parser.add_argument("--conversation", default="conv-26", help="for all but set and length")
    parser.add_argument("--parts", nargs="+", choices=list(_PARTS), default=list(_PARTS))
    parser.add_argument("--runs", type=int, default=3, help="of the build that is timed")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path("../shared/reference/peers.md"))
    parser.add_argument("--keep", type=Path, help="keep the warehouses in this (empty) folder")
    parser.add_argument("--json", type=Path, help="write all tables there, too")
    return parser.parse_args()


def _as_json(tables: dict[str, list[TextTable]]) -> str:
    return json.dumps({name: [asdict(t) for t in found] for name, found in tables.items()})


if __name__ == "__main__":
    main()
