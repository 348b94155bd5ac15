"""Build throughput against the embedder alone, a second run, memory and tokens, in one run.

    python -m benchmarks.build [--data ../shared/data/locomo_dev ...] [--conversation ID]
    python -m benchmarks.build --input samples/logs
    python -m benchmarks.build --pipeline conversation_memory_static

For each input: `memoryflow run` into a fresh warehouse; then the pipeline's embedder alone, one
process a core, on exactly the texts that run embedded; then `memoryflow run` again.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.process_memory import PeakMemory
from operators.embedding.models import MODELS
from transforms.warehouse.connection import open_warehouse

_BUILT = re.compile(r"built: .* in ([0-9.]+) s")
DEV_SETS = ("locomo_dev", "beam_dev", "longmemeval_dev")
COLUMNS = (
    ("input", "input"),
    ("messages", "messages"),
    ("embedded", "texts embedded"),
    ("wall", "wall s"),
    ("build", "after start-up s"),
    ("embedder", "embedder alone s"),
    ("ratio", "wall / embedder"),
    ("build_ratio", "after start-up / embedder"),
    ("again", "second run s"),
    ("again_share", "second / first"),
    ("peak_mib", "peak PSS MiB"),
    ("tokens_ratio", "tokens embedded / input"),
)


@dataclass(frozen=True)
class Run:
    """One `memoryflow run`: wall seconds, seconds after start-up, peak MiB, its report."""

    wall: float
    build: float
    peak_mib: float
    report: dict[str, Any]


def main() -> None:
    """Measure every input and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", action="append", default=[], help="file or folder of messages")
    parser.add_argument("--data", default="../shared/data", help="folder of the dev sets")
    parser.add_argument("--sets", nargs="*", default=None, help="dev sets to build")
    parser.add_argument("--conversation", help="only this conversation of a dev set")
    parser.add_argument("--pipeline", default="conversation_memory")
    parser.add_argument("--keep", type=Path, help="keep the warehouses in this folder")
    arguments = parser.parse_args()
    wanted = DEV_SETS if arguments.sets is None and not arguments.input else arguments.sets or ()
    inputs = [(Path(i).name, i) for i in arguments.input]
    inputs += [(s, str(Path(arguments.data) / s / "messages.jsonl.gz")) for s in wanted]
    print("| " + " | ".join(title for _, title in COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        for name, path in inputs:
            folder = arguments.keep or Path(scratch)
            if arguments.conversation:
                path = _only(path, arguments.conversation, Path(scratch))  # noqa: PLW2901
            row = measure(arguments.conversation or name, path, folder / name, arguments.pipeline)
            print("| " + " | ".join(str(row[key]) for key, _ in COLUMNS) + " |", flush=True)


def measure(
    name: str, path: str, warehouse: Path, pipeline: str = "conversation_memory"
) -> dict[str, Any]:
    """One row of the table."""
    shutil.rmtree(warehouse, ignore_errors=True)
    first = run(path, warehouse, pipeline=pipeline)
    texts, message_texts, model_id = _texts(warehouse)
    embedder = embedder_alone(texts, model_id)
    second = run(path, warehouse, pipeline=pipeline)
    counters = first.report["counters"]
    return {
        "input": name,
        "messages": counters["messages"]["in"],
        "embedded": len(texts),
        "wall": f"{first.wall:.1f}",
        "build": f"{first.build:.1f}",
        "embedder": f"{embedder:.1f}",
        "ratio": f"{first.wall / embedder:.2f}",
        "build_ratio": f"{first.build / embedder:.2f}",
        "again": f"{second.wall:.1f}",
        "again_share": f"{second.wall / first.wall:.1%}",
        "peak_mib": f"{first.peak_mib:.0f}",
        "tokens_ratio": f"{_tokens_ratio(texts, message_texts, model_id):.2f}",
    }


def run(
    path: str,
    warehouse: Path,
    extra: Sequence[str] = (),
    pipeline: str = "conversation_memory",
) -> Run:
    """`memoryflow run` as a process of its own."""
    command = [sys.executable, "-m", "jobs.cli", "run", pipeline, "--json"]
    command += ["--input", path, "--warehouse", str(warehouse), *extra]
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        with PeakMemory(process.pid) as memory:
            out, err = process.communicate()
        wall = time.perf_counter() - start
    if process.returncode != 0:
        raise RuntimeError(f"run failed with {process.returncode}:\n{err}")
    built = _BUILT.search(err)
    return Run(wall, float(built.group(1)) if built else wall, memory.peak_mib, json.loads(out))


def embedder_alone(texts: Sequence[str], model_id: str) -> float:
    """Seconds that one embedder a core takes for the texts, models loaded before."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(cores + 1), context.Barrier(cores + 1)
    processes = [
        context.Process(target=_embed, args=(texts[core::cores], model_id, ready, go))
        for core in range(cores)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    go.wait()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def _embed(texts: Sequence[str], model_id: str, ready: Any, go: Any) -> None:
    model = MODELS[model_id].open()
    model.embed(["warm"])
    ready.wait()
    go.wait()
    model.embed(texts)


def _texts(warehouse: Path) -> tuple[list[str], list[str], str]:
    """Distinct texts that were embedded, the messages' texts, and the model of the vectors."""
    with open_warehouse(warehouse, read_only=True) as opened:
        facts = opened.rows("SELECT DISTINCT text FROM facts ORDER BY text")
        messages = opened.rows("SELECT text FROM messages WHERE is_current")
        (model_id,) = opened.rows("SELECT DISTINCT model_id FROM embeddings")
    return [row[0] for row in facts], [row[0] for row in messages], model_id[0]


def _tokens_ratio(texts: Sequence[str], message_texts: Sequence[str], model_id: str) -> float:
    counter = MODELS[model_id].tokens()
    return sum(counter.counts(texts)) / max(1, sum(counter.counts(message_texts)))


def _only(path: str, conversation: str, scratch: Path) -> str:
    """The lines of one conversation, as a file."""
    out = scratch / f"{conversation}.jsonl"
    with gzip.open(path, "rb") as lines, out.open("wb") as target:
        target.writelines(
            line for line in lines if json.loads(line)["conversation_id"] == conversation
        )
    return str(out)


if __name__ == "__main__":
    main()
