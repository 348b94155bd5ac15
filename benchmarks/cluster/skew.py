"""A log of which one conversation has half of the messages, built with and without parts.

    python -m benchmarks.cluster.skew [--messages 20000] [--workers 2] [--data ../shared/data]

Each build is `memoryflow run` in a process of its own, into a fresh warehouse; all have to end
with one digest. "After start-up" is without the start of Ray.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.build import Run, run
from benchmarks.cluster.long_conversation import skewed_log
from schemas.ids import content_hash

_NEVER = 1_000_000_000


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--share", type=float, default=0.5, help="of the long conversation")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--split", type=int, nargs="+", default=[_NEVER, 5_000], help="runtime.split_messages"
    )
    parser.add_argument("--embedder", default="minilm_int8", help="operator of the step embed")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    print("| split_messages | wall s | after start-up s | peak MiB | parts | workers |")
    print("|" + " --- |" * 6, flush=True)
    digests: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        folder = Path(scratch)
        log = skewed_log(folder / "log.jsonl", arguments.data, arguments.messages, arguments.share)
        for turn in range(arguments.repeat):
            for split in arguments.split:
                warehouse = folder / f"w-{turn}-{split}"
                using = _pipeline(folder / f"{split}.yaml", split, arguments.embedder)
                extra = ["--workers", str(arguments.workers)]
                done = run(str(log), warehouse, extra, str(using))
                digests.add(_digest(warehouse))
                print(_row(split, done), flush=True)
    if len(digests) != 1:
        raise SystemExit(f"the builds differ: {digests}")
    print(f"\none digest: {digests.pop()}")


def _pipeline(path: Path, split: int, embedder: str) -> Path:
    """The shipped pipeline with these settings."""
    text = files("pipelines").joinpath("conversation_memory.yaml").read_text("utf-8")
    for pattern, new in (
        (r"split_messages: \d+", f"split_messages: {split}"),
        ("operator: minilm_int8", f"operator: {embedder}"),
    ):
        text, times = re.subn(pattern, new, text)
        if times != 1:
            raise RuntimeError(f"{pattern}: {times} matches in the shipped pipeline")
    path.write_text(text)
    return path


def _digest(warehouse: Path) -> str:
    command: Sequence[str] = [sys.executable, "-m", "jobs.cli", "digest", "-w", str(warehouse)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return content_hash(done.stdout)


def _row(split: int, done: Run) -> str:
    skew: dict[str, Any] = done.report["counters"].get("skew", {})
    name = "never" if split == _NEVER else f"{split:,}"
    cells = [name, f"{done.wall:.1f}", f"{done.build:.1f}", f"{done.peak_mib:,.0f}"]
    cells += [json.dumps(skew.get(key, 0)) for key in ("parts", "workers")]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
