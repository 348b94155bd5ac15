"""What each step costs one conversation as it grows: CPU seconds and peak memory.

    python -m benchmarks.cluster.folds [--messages 2000 10000 50000] [--data ../shared/data]

Each length in a process of its own, on one thread, without Ray. Vectors are made of words, so
that no model is measured: texts that share words are near each other.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.cluster.long_conversation import LONG, conversation, sentences
from jobs.local_models import LocalModels
from operators.base import Vectors
from operators.embedding.model_id import DIMENSION
from operators.parse.jsonl import parse_jsonl
from operators.versions import resolve_versions
from pipelines.plan import plan
from schemas.ids import content_hash
from transforms.apply_step import apply_step
from transforms.frame import Frame, conversation_hashes

Row = tuple[str, float, float]
"""Step, CPU seconds, MiB of memory that the process had at most so far."""


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pipeline", default="conversation_memory")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found: list[list[Row]] = []
    for messages in arguments.messages:
        with context.Pool(1) as pool:
            found.append(pool.apply(measure, (arguments.pipeline, arguments.data, messages)))
    heads = [f"{messages:,} messages: s | MiB" for messages in arguments.messages]
    print("| step | " + " | ".join(heads) + " | growth |")
    print("|" + " --- |" * (2 + 2 * len(heads)))
    for rows in zip(*found, strict=True):
        cells = [f"{seconds:.2f} | {mib:,.0f}" for _, seconds, mib in rows]
        print(
            f"| {rows[0][0]} | " + " | ".join(cells) + f" | {_growth(arguments.messages, rows)} |"
        )


def measure(pipeline: str, data: Path, messages: int) -> list[Row]:
    """The steps over a conversation of so many messages."""
    lines = conversation(LONG, list(islice(sentences(data), messages)))
    parsed = parse_jsonl(((n, json.dumps(line).encode()) for n, line in enumerate(lines)), "made")
    current = resolve_versions(parsed.messages)
    frame = Frame({"messages": current}, {}, {}, conversation_hashes(current))
    rows: list[Row] = []
    for step in plan(pipeline).steps:
        start = time.process_time()
        frame = apply_step(step, frame, WordModels())
        spent = time.process_time() - start
        rows.append((step.id, spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    letters = sum(table.num_rows for table in frame.dead_letters)
    if letters:
        raise RuntimeError(f"{letters} steps failed: {frame.dead_letters[0].to_pylist()[0]}")
    rows.append(("facts", float(frame.table("facts").num_rows), rows[-1][2]))
    return rows


class WordModels(LocalModels):
    """Vectors that are the mean of a random vector for each word, seeded by the word."""

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Unit vectors."""
        del model_id
        rows = np.stack([sum(map(_word, text.casefold().split()), _word("")) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@cache
def _word(word: str) -> Vectors:
    seed = int(content_hash("word", word)[:8], 16)
    return np.random.default_rng(seed).standard_normal(DIMENSION, np.float32)


def _growth(messages: Sequence[int], rows: Sequence[Row]) -> str:
    """The power of the length that the last two costs differ by."""
    if len(rows) < 2 or rows[-2][1] < 0.05:
        return ""
    power = np.log(rows[-1][1] / rows[-2][1]) / np.log(messages[-1] / messages[-2])
    return f"{power:.2f}"


if __name__ == "__main__":
    main()
