"""What a warehouse costs to build and to extend, against the size of its log.

    python -m benchmarks.scale.build DIR --messages 10000 100000 1000000 [--plot scale.svg]
    python -m benchmarks.scale.build DIR --messages 10000 --pipeline conversation_memory

For each size: the log of `benchmarks.scale.generate` is made in DIR, `memoryflow run` builds it
into a warehouse of its own, as a process of its own; then one session is appended to a
conversation of about 120 messages, several times, a run each. Prints two Markdown tables and
writes DIR/size-N.json; sizes whose file is there are not measured again, so that a long series can
be taken in parts. Memory is the PSS of all processes; "after start" leaves Ray's start out.

Parts of an append: `state` is what a run looks up before it starts Ray (timed by itself, in a
process with the warehouse open), `read`, `build` (state of the conversation, steps, difference) and
`commit` follow from the times of the run's log lines, `end` is from the last commit on, with
upkeep and Ray's end.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.process_memory import MEBIBYTE, PeakMemory
from benchmarks.scale.conversations import Conversation
from benchmarks.scale.generate import Log, append_session
from jobs.batch.state import load_state
from pipelines.plan import plan
from transforms.warehouse.compaction import live_data_files
from transforms.warehouse.connection import LAKE, open_warehouse

PIPELINE = "conversation_memory_static"
_APPENDED_TO = 120  # messages: of this size there is a conversation in every log
_PARTS = ("state", "read", "build", "commit", "end")
_GROWN = (
    ("messages", "messages"),
    ("wall", "run, wall s"),
    ("built", "after start s"),
    ("rate", "messages/s"),
    ("peak_mib", "peak PSS MiB"),
    ("warehouse_mib", "warehouse MiB"),
    ("log_mib", "log MiB"),
    ("files", "files"),
    ("snapshots", "snapshots"),
)


@dataclass(frozen=True)
class Run:
    """One `memoryflow run`: wall seconds, peak MiB, and seconds of its parts by name."""

    wall: float
    peak_mib: float
    built: float
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Size:
    """What was measured of one size.

    Attributes:
        build: the run over the whole log.
        appends: the runs over one more session each.
        appended_to: messages of the conversation that they went to.
    """

    messages: int
    build: Run
    appends: Sequence[Run]
    appended_to: int
    warehouse_mib: float
    log_mib: float
    files: int
    snapshots: int

    def grown(self) -> dict[str, float]:
        """The row of the first table."""
        return {
            **asdict(self),
            "wall": self.build.wall,
            "built": self.build.built,
            "rate": self.messages / self.build.built,
            "peak_mib": self.build.peak_mib,
        }

    def appended(self) -> dict[str, float]:
        """The row of the second table: medians."""
        parts = {p: statistics.median(run.parts[p] for run in self.appends) for p in _PARTS}
        cost = statistics.median(run.parts["state"] + run.built for run in self.appends)
        return {
            "messages": self.messages,
            "cost": cost,
            "after start": statistics.median(run.built for run in self.appends),
            **parts,
            "peak_mib": statistics.median(run.peak_mib for run in self.appends),
        }


def main() -> None:
    """Measure each size, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for logs, warehouses and results")
    parser.add_argument("--messages", type=int, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pipeline", default=PIPELINE)
    parser.add_argument("--appends", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="write an SVG file")
    parser.add_argument("--drop", action="store_true", help="drop each log and warehouse after use")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found: list[Size] = []
    for messages in sorted(arguments.messages):
        kept = arguments.folder / f"size-{messages}.json"
        if not kept.exists():
            log = Log(messages, arguments.seed)
            size = measure(log, arguments.folder, arguments.pipeline, arguments.appends)
            kept.write_text(json.dumps(asdict(size), indent=1))
            if arguments.drop:
                _drop(arguments.folder, messages)
        found.append(_read(kept))
        print(f"{messages:,} messages: done", file=sys.stderr, flush=True)
    _print([(key, title) for key, title in _GROWN], [size.grown() for size in found])
    rows = [size.appended() for size in found]
    print()
    _print([(key, key if key == "messages" else f"{key} s") for key in rows[0]][:-1], rows)
    if arguments.plot is not None:
        from benchmarks.scale.plot import plot_sizes  # noqa: PLC0415 - matplotlib

        plot_sizes(arguments.plot, [size.grown() for size in found], rows)


def measure(log: Log, folder: Path, pipeline: str, appends: int) -> Size:
    """Build a log of this size from nothing, and append to it."""
    lines, warehouse = folder / f"log-{log.messages}", folder / f"warehouse-{log.messages}"
    if not (lines / "log.txt").exists():  # Written last.
        log.write(lines)
    shutil.rmtree(warehouse, ignore_errors=True)
    build = run(lines, warehouse, pipeline)
    conversation = mid_sized(log)
    appended: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        for number in range(1, appends + 1):
            session = Path(scratch) / f"session-{number}.jsonl"
            append_session(log, conversation.conversation_id, number, session)
            state = _state_seconds(warehouse, pipeline)
            done = run(session, warehouse, pipeline)
            appended.append(Run(done.wall, done.peak_mib, done.built, {**done.parts, **state}))
    with open_warehouse(warehouse, read_only=True) as opened:
        files = len(live_data_files(opened))
        counted = opened.rows(f"SELECT count(*) FROM ducklake_snapshots('{LAKE}')")
    return Size(
        log.messages,
        build,
        appended,
        conversation.size,
        _mib(warehouse),
        _mib(lines),
        files,
        int(counted[0][0]),
    )


def mid_sized(log: Log) -> Conversation:
    """The conversation that sessions are appended to: about as large in every log."""
    return min(log.conversations(), key=lambda c: (abs(c.size - _APPENDED_TO), c.number))


def run(source: Path, warehouse: Path, pipeline: str) -> Run:
    """`memoryflow run` as a process of its own."""
    command = [sys.executable, "-m", "jobs.cli", "run", pipeline, "--log-format", "json"]
    command += ["--input", str(source), "--warehouse", str(warehouse)]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        with process, PeakMemory(process.pid) as memory:
            code = process.wait()
        wall, ended = time.perf_counter() - start, time.time()
        told.seek(0)
        lines = told.read().splitlines()
    if code != 0:
        raise RuntimeError(f"run failed with {code}:\n" + "\n".join(lines[-20:]))
    return _run(wall, ended, memory.peak_mib, [json.loads(line) for line in lines])


def _run(wall: float, ended: float, peak_mib: float, lines: Sequence[Mapping[str, Any]]) -> Run:
    at = {str(line["event"]): _seconds(line) for line in lines}
    built = next(float(line["seconds"]) for line in lines if line["event"] == "build.done")
    commits = [line for line in lines if str(line["event"]).startswith("commit.")]
    written = [(_seconds(a), _seconds(b)) for a, b in zip(commits[::2], commits[1::2], strict=True)]
    committing = sum(b - a for a, b in written)
    parts = {
        "read": at["read.done"] - at["engine.ready"],
        "build": written[-1][1] - at["read.done"] - committing,
        "commit": committing,
        "end": ended - written[-1][1],
    }
    return Run(wall, peak_mib, built, parts)


def _seconds(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def _state_seconds(warehouse: Path, pipeline: str) -> dict[str, float]:
    """Seconds that `load_state` takes, once the warehouse is open."""
    wanted = plan(pipeline)
    with open_warehouse(warehouse, read_only=True) as opened:
        start = time.perf_counter()
        load_state(opened, wanted)
        return {"state": time.perf_counter() - start}


def _mib(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / MEBIBYTE


def _read(path: Path) -> Size:
    kept = json.loads(path.read_text())
    kept["build"] = Run(**kept["build"])
    kept["appends"] = [Run(**run) for run in kept["appends"]]
    return Size(**kept)


def _drop(folder: Path, messages: int) -> None:
    for kind in ("log", "warehouse"):
        shutil.rmtree(folder / f"{kind}-{messages}", ignore_errors=True)


def _print(columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, float]]) -> None:
    print("| " + " | ".join(title for _, title in columns) + " |")
    print("|" + " ---: |" * len(columns))
    for row in rows:
        cells = [f"{row[k]:,}" if isinstance(row[k], int) else f"{row[k]:,.2f}" for k, _ in columns]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
