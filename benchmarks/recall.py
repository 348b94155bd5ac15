"""Retrieval quality: BM25 and MiniLM over messages as baselines, and memoryflow's search.

    python -m benchmarks.recall --data ../shared/data/locomo_dev [--conversations 4]
    python -m benchmarks.recall --data ../shared/data/locomo_dev --warehouse DIR

The baselines read the folder's messages.jsonl.gz and questions.jsonl; `--warehouse` is one
that `memoryflow run` built from them. Micro-average over questions with evidence.
"""

import argparse
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jobs.evaluate import evaluate, render
from jobs.search import AskedQuestion, SearchSession, read_questions
from operators.embedding.minilm import MiniLm
from operators.recall.bm25 import Bm25, Floats, TermCounts
from operators.recall.metrics import recall_at
from operators.recall.terms import terms

_DEPTHS = (5, 10, 20)
Scorer = Callable[[AskedQuestion], Floats]


def main() -> None:
    """Parse the command line and print one line a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of one data set")
    parser.add_argument("--warehouse", type=Path, help="warehouse built from it")
    parser.add_argument("--conversations", type=int, default=10**9, help="only the first N")
    arguments = parser.parse_args()
    questions = arguments.data / "questions.jsonl"
    if arguments.warehouse is not None:
        _memoryflow(arguments.warehouse, questions)
        return
    talks = _conversations(arguments.data / "messages.jsonl.gz", arguments.conversations)
    asked = [q for q in read_questions(questions) if q.evidence and q.conversation_id in talks]
    print(f"{arguments.data.name}: {len(talks)} conversations, {len(asked)} questions")
    for name, make in (("BM25", _bm25), ("MiniLM", _minilm)):
        print(name, _recall(talks, asked, make))


def _memoryflow(warehouse: Path, questions: Path) -> None:
    with SearchSession.open(warehouse) as session:
        for state in ("cold", "warm"):
            start = time.perf_counter()
            report = evaluate(session, questions)
            seconds = time.perf_counter() - start
            print(f"{state}: {report['overall']['questions'] / seconds:.0f} questions/s")
    print(render(report))


def _conversations(path: Path, limit: int) -> dict[str, list[dict[str, Any]]]:
    talks: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            talks.setdefault(row["conversation_id"], []).append(row)
    return {name: talks[name] for name in sorted(talks)[:limit]}


def _bm25(rows: Sequence[dict[str, Any]]) -> Scorer:
    index = Bm25(TermCounts.of([terms(r["text"]) for r in rows]))
    return lambda asked: index.scores(terms(asked.question))


def _minilm(rows: Sequence[dict[str, Any]]) -> Scorer:
    model = MiniLm()
    vectors = model.embed([f"{r['speaker']}: {r['text']}" for r in rows])
    return lambda asked: (vectors @ model.embed([asked.question])[0]).astype(np.float64)


def _recall(
    talks: dict[str, list[dict[str, Any]]],
    asked: Sequence[AskedQuestion],
    make: Callable[[Sequence[dict[str, Any]]], Scorer],
) -> str:
    found: list[list[float]] = []
    for name, rows in talks.items():
        scorer = make(rows)
        for question in (q for q in asked if q.conversation_id == name):
            order = np.argsort(-scorer(question), kind="stable")[: max(_DEPTHS)]
            ranked = [rows[int(i)]["message_id"] for i in order]
            found.append([recall_at(ranked, question.evidence, k) for k in _DEPTHS])
    means = np.mean(found, axis=0) * 100
    return "/".join(f"{m:.1f}" for m in means) + f" (recall@{'/'.join(map(str, _DEPTHS))})"


if __name__ == "__main__":
    main()
