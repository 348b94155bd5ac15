"""Small logs cut from the bundled samples, and builds of them in this process."""

import gzip
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from jobs.digest import digest
from tests.jobs.processes import REPO
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table

SAMPLES = REPO / "samples"
SHIPPED = REPO / "pipelines" / "conversation_memory.yaml"

Lines = list[dict[str, Any]]


def sample_lines(per_log: int = 48, conversations_per_log: int = 2) -> Lines:
    """The first messages of each bundled log, dealt in runs to conversations of their own."""
    out: Lines = []
    for path in sorted((SAMPLES / "logs").glob("*.jsonl")):
        with path.open() as file:
            lines = [json.loads(line) for _, line in zip(range(per_log), file, strict=False)]
        size = -(-len(lines) // conversations_per_log)
        out += [
            line | {"conversation_id": f"{line['conversation_id']}-{index // size}"}
            for index, line in enumerate(lines)
        ]
    return out


def write_log(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    """A JSON Lines file, compressed as its name says."""
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def shuffled(lines: Sequence[dict[str, Any]], seed: int = 7) -> Lines:
    out = list(lines)
    random.Random(seed).shuffle(out)
    return out


def pipeline_copy(path: Path, *changes: tuple[str, str]) -> Path:
    """The shipped pipeline with some patterns replaced, each of which must match once."""
    text = SHIPPED.read_text()
    for pattern, new in changes:
        text, times = re.subn(pattern, new, text, flags=re.MULTILINE | re.DOTALL)
        assert times == 1, f"{pattern}: {times} matches"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def build_here(
    warehouse: Path,
    input_path: Path,
    *,
    workers: int = 1,
    pipeline: str | Path = "conversation_memory",
    commit_bytes: int = 64 * 1024 * 1024,
) -> dict[str, Any]:
    """What `memoryflow run` does, on the Ray of this process (fixture `ray_here`)."""
    from jobs.batch.build import BuildRequest, build
    from jobs.batch.progress import Progress
    from jobs.batch.reading import ReadOptions
    from pipelines.plan import plan
    from transforms.sources.files import expand_inputs

    request = BuildRequest(
        plan(pipeline),
        expand_inputs(str(input_path), "jsonl"),
        ReadOptions(),
        workers,
        commit_bytes=commit_bytes,
    )
    with open_warehouse(warehouse) as opened:
        return build(opened, request, Progress(quiet=True)).to_json()


def digest_at(warehouse: Path) -> dict[str, Any]:
    with open_warehouse(warehouse, read_only=True) as opened:
        return dict(digest(opened))


def rows_at(warehouse: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Rows of a table, sorted."""
    with open_warehouse(warehouse, read_only=True) as opened:
        found = read_table(opened, table, list(columns))
    return sorted(zip(*(found[name].to_pylist() for name in columns), strict=True))


def computed(report: dict[str, Any]) -> set[str]:
    """Ids of the steps that computed anything."""
    counters = report["counters"]
    return {step for step, counts in counters.items() if counts.get("computed")}
