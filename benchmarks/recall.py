"""Retrieval quality: baselines, memoryflow's search, and search without each channel.

    python -m benchmarks.recall WAREHOUSE:questions.jsonl ...

Prints one Markdown table a set, over its questions with evidence. BM25 ranks messages by
their words, MiniLM by their best fact, RRF fuses the two (Cormack et al. 2009,
https://doi.org/10.1145/1571941.1572114). The shipped weights are fitted to these sets: see
the 5 folds of `benchmarks.fit_recall` for what a new conversation can expect.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jobs.search import AskedQuestion, SearchSession, read_questions
from operators.base import Vectors
from operators.recall.bm25 import Bm25, Floats, TermCounts
from operators.recall.conversation_index import ConversationIndex, Question
from operators.recall.fusion import CHANNELS, fuse, load_weights
from operators.recall.metrics import recall_at
from operators.recall.terms import terms

_DEPTHS = (5, 10, 20)
_RRF = 60
_WEIGHTS = load_weights()


def main() -> None:
    """Print a table for each set named on the command line."""
    arguments = sys.argv[1:]
    if not arguments or any(":" not in a for a in arguments):
        sys.exit("usage: python -m benchmarks.recall WAREHOUSE:questions.jsonl ...")
    for argument in arguments:
        folder, _, questions = argument.rpartition(":")
        found = _measure(folder, Path(questions))
        count = len(next(iter(found.values()), []))
        print(f"\n{questions}: {count} questions\n")
        print(f"| search | {' | '.join(f'recall@{k}' for k in _DEPTHS)} |")
        print("| --- |" + " ---: |" * len(_DEPTHS))
        for name, rows in found.items():
            means = " | ".join(f"{m:.1f}" for m in 100 * np.mean(rows, axis=0))
            print(f"| {name} | {means} |", flush=True)


def _measure(folder: str, questions: Path) -> dict[str, list[list[float]]]:
    asked = [q for q in read_questions(questions) if q.evidence and q.conversation_id]
    asked.sort(key=lambda q: (q.tenant or "", q.conversation_id or "", q.question_id))
    found: dict[str, list[list[float]]] = {}
    with SearchSession.open(folder, kept=1) as session:
        vectors = session.embed([q.question for q in asked])
        last: tuple[ConversationIndex, Bm25] | None = None
        for question, vector in zip(asked, vectors, strict=True):
            searcher = session.searcher(question.conversation_id, question.tenant, None)
            if searcher is None:
                continue
            index = searcher.index
            if last is None or last[0] is not index:
                last = index, Bm25(TermCounts.of([terms(m["text"]) for m in index.messages]))
            for name, scores in _scores(index, last[1], question, vector):
                order = np.argsort(-scores, kind="stable")[: max(_DEPTHS)].tolist()
                ranked = [index.messages[n]["message_id"] for n in order]
                recall = [recall_at(ranked, question.evidence, k) for k in _DEPTHS]
                found.setdefault(name, []).append(recall)
    return found


def _scores(
    index: ConversationIndex, words: Bm25, asked: AskedQuestion, vector: Vectors
) -> Iterable[tuple[str, Floats]]:
    features, _ = index.features(Question(asked.question, vector, asked.asked_at))
    lexical = words.scores(terms(asked.question))
    yield "BM25", lexical
    yield "MiniLM", features["best_fact"]
    yield "RRF of both", _reciprocal(lexical) + _reciprocal(features["best_fact"])
    yield "memoryflow", fuse(features, _WEIGHTS, index.mean_length)[0]
    for channel in CHANNELS:
        without = fuse(features, _WEIGHTS, index.mean_length, {channel})[0]
        yield f"without {channel}", without


def _reciprocal(scores: Floats) -> Floats:
    ranks = np.empty(scores.size)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, scores.size + 1)
    return 1 / (_RRF + ranks)


if __name__ == "__main__":
    main()
