"""What consolidating one changed conversation costs, against consolidating all of them.

    python -m benchmarks.consolidation WAREHOUSE [--pipeline PIPELINE] [--workers N]

In a copy of the warehouse, brought up to the pipeline. First, every conversation is put into
the state in which a stream with `consolidate: session_end` leaves it: all steps over whole
conversations are to be made up for. `memoryflow consolidate` does so: that is "all". Then an
invented session is appended to one conversation, its facts at once, the rest deferred, and
`memoryflow consolidate` runs again: that is "one", the median of several conversations.
"All" finds the same rows again and writes stamps only, "one" has new rows to write, which is
in favour of "all".
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.last_plan import last_plan
from jobs.local_models import LocalModels
from operators.parse.jsonl import parse_jsonl
from pipelines.deferral import consolidation_start
from pipelines.plan import Plan
from pipelines.slice_build import build_slice
from pipelines.slice_changes import DEFERRED, WHOLE_PLAN
from transforms.frame import conversations_of
from transforms.warehouse.commit import commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table

_LINES = (
    "I moved the greenhouse to the other side of the yard yesterday.",
    "Good, it will get the morning sun there.",
    "And I started at the seed library on Monday, three days a week.",
)
_MEASURES = (
    ("wall", "wall s"),
    ("seconds", "after start-up s"),
    ("worker_seconds", "workers s"),
    ("step_seconds", "steps s"),
)
_TARGET = 0.03


@dataclass(frozen=True)
class _Recorded:
    """Rows of the open warehouse."""

    warehouse: Warehouse

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[tuple[str, str]] | None = None,
    ) -> pa.Table:
        """Rows of these conversations."""
        return read_table(self.warehouse, name, columns, conversations)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--pipeline", help="default: that of the last run")
    # Costs are compared: what several workers do at once costs no less.
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="conversations to change in turn")
    arguments = parser.parse_args()
    extra = ["--workers", str(arguments.workers)]
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        copy = Path(scratch) / "warehouse"
        shutil.copytree(arguments.warehouse, copy)
        # Also where no pipeline is named: operators may have another version by now.
        given = [arguments.pipeline] if arguments.pipeline else []
        first = consolidate(copy, [*given, *extra])
        if first["conversations"]:
            _row("up to the pipeline", first)
        defer_all(copy)
        everything = consolidate(copy, extra)
        ones = [one(copy, index, extra) for index in range(arguments.repeat)]
    _report(everything, ones)


def consolidate(warehouse: Path, extra: Sequence[str]) -> dict[str, Any]:
    """`memoryflow consolidate` as a process of its own: its report, with the wall seconds."""
    command = [sys.executable, "-m", "jobs.cli", "consolidate", "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--warehouse", str(warehouse), *extra],
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"consolidate failed with {done.returncode}:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    steps = sum(step["seconds"] for step in report["steps"].values())
    return report | {"wall": wall, "step_seconds": steps}


def defer_all(warehouse: Path) -> None:
    """Take back the stamps of all steps over whole conversations."""
    with open_warehouse(warehouse) as opened:
        for step in _later(last_plan(opened)):
            opened.rows("DELETE FROM stamps WHERE step = ?", [step])
        opened.rows("UPDATE stamps SET stamp = ? WHERE step = ?", [DEFERRED, WHOLE_PLAN])


def one(warehouse: Path, index: int, extra: Sequence[str]) -> dict[str, Any]:
    """Append a session to conversation number `index`, then consolidate."""
    with open_warehouse(warehouse) as opened:
        plan = last_plan(opened)
        rows = parse_jsonl(enumerate(_session(opened, index), 1), "benchmark").messages
        conversations = frozenset(conversations_of(rows))
        recorded = _Recorded(opened)
        built = build_slice(rows, [], recorded, plan.steps, LocalModels(), defer=conversations)
        if built.deferred != conversations:
            raise RuntimeError("nothing was put off: the pipeline has no step that can wait")
        commit(opened, built.changes)
    return consolidate(warehouse, extra)


def _later(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps[consolidation_start(plan.steps) :]]


def _session(warehouse: Warehouse, index: int) -> list[bytes]:
    talks = warehouse.rows(
        "SELECT tenant, conversation_id, max(timestamp), list(DISTINCT speaker ORDER BY speaker) "
        "FROM messages GROUP BY ALL ORDER BY tenant, conversation_id"
    )
    tenant, conversation, last, speakers = talks[index % len(talks)]
    lines = [
        {
            "tenant": tenant,
            "conversation_id": conversation,
            "message_id": f"{conversation}/consolidated-{index}-{line}",
            "speaker": speakers[-1 - line % 2] if len(speakers) > 1 else speakers[0],
            "timestamp": (last + timedelta(days=2, minutes=line)).isoformat(),
            "text": text,
        }
        for line, text in enumerate(_LINES)
    ]
    return [json.dumps(line).encode() for line in lines]


def _report(everything: dict[str, Any], ones: Sequence[dict[str, Any]]) -> None:
    median = {name: statistics.median(found[name] for found in ones) for name, _ in _MEASURES}
    print("| consolidated | conversations | " + " | ".join(t for _, t in _MEASURES) + " |")
    print("|" + " --- |" * (2 + len(_MEASURES)))
    _row("all", everything)
    _row("one", {"conversations": 1} | median)
    shares = {name: median[name] / everything[name] for name, _ in _MEASURES}
    print("| one / all | | " + " | ".join(f"{shares[n]:.1%}" for n, _ in _MEASURES) + " |")
    print("\nseconds in the operator of each step (all, one):")
    for name, step in everything["steps"].items():
        one_ = statistics.median(found["steps"][name]["seconds"] for found in ones)
        if step["computed"]:
            print(f"  {name}: {step['seconds']:.2f}, {one_:.3f}")
    print(f"\ntarget: below {_TARGET:.0%}")


def _row(title: str, report: dict[str, Any]) -> None:
    cells: Iterable[str] = (f"{report[name]:.2f}" for name, _ in _MEASURES)
    print(f"| {title} | {report['conversations']} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
