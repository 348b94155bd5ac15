"""Retrieval quality: baselines, memoryflow's search, and search with and without channels.

    python -m benchmarks.recall WAREHOUSE:questions.jsonl ... [--json FILE]

Prints Markdown tables for each set, over its questions with evidence: every metric of
every search, then recall@10 by category. BM25 ranks messages by their words, vectors by
their best fact, both for the question as asked, RRF fuses the two (Cormack et al. 2009,
https://doi.org/10.1145/1571941.1572114). "without" leaves a channel out as `--without` does,
"with" adds one that is off, as `--also` does. The shipped weights are fitted to these sets:
see the 5 folds of `benchmarks.fit_recall` for what a new conversation can expect, and for
channels left out before fitting.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jobs.search import AskedQuestion, SearchSession, read_questions
from operators.base import Vectors
from operators.recall.bm25 import Bm25, Floats, TermCounts
from operators.recall.conversation_index import Question
from operators.recall.focus import focus
from operators.recall.fusion import CHANNELS_OF, OFF_BY_DEFAULT, fuse, load_weights
from operators.recall.metrics import all_at, ndcg_at, recall_at
from operators.recall.searcher import Searcher
from operators.recall.terms import terms

METRICS = ("recall@5", "recall@10", "recall@20", "all-evidence@10", "nDCG@10")
_BY_CATEGORY = ("BM25", "vectors", "RRF of both", "memoryflow")
OVERALL = "overall"
_DEPTH = 20
_RRF = 60
_WEIGHTS = {name: load_weights(name) for name in CHANNELS_OF}
Scored = list[tuple[str, list[float]]]  # category and metrics of each question


def main() -> None:
    """Print the tables of each set named on the command line."""
    arguments = sys.argv[1:]
    to: Path | None = None
    if "--json" in arguments[:-1]:
        at = arguments.index("--json")
        to = Path(arguments[at + 1])
        del arguments[at : at + 2]
    if not arguments or any(":" not in a for a in arguments):
        sys.exit("usage: python -m benchmarks.recall WAREHOUSE:questions.jsonl ... [--json FILE]")
    report: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for argument in arguments:
        folder, _, questions = argument.rpartition(":")
        found = _measure(folder, Path(questions))
        _print(questions, found)
        report[questions] = {name: _summary(rows) for name, rows in found.items()}
    if to is not None:
        to.write_text(json.dumps(report, indent=1))


def _print(questions: str, found: dict[str, Scored]) -> None:
    count = len(next(iter(found.values()), []))
    print(f"\n{questions}: {count} questions\n\n| search | {' | '.join(METRICS)} |")
    print("| --- |" + " ---: |" * len(METRICS))
    means = {name: _summary(rows) for name, rows in found.items()}
    for name, summary in means.items():
        print(f"| {name} | {' | '.join(f'{summary[OVERALL][m]:.1f}' for m in METRICS)} |")
    print(f"\n| recall@10 by category | questions | {' | '.join(_BY_CATEGORY)} |")
    print("| --- |" + " ---: |" * (1 + len(_BY_CATEGORY)))
    for category in sorted({c for c, _ in next(iter(found.values()), [])}):
        rows = [means[name][category] for name in _BY_CATEGORY]
        values = " | ".join(f"{row['recall@10']:.1f}" for row in rows)
        print(f"| {category} | {rows[0]['questions']:.0f} | {values} |", flush=True)


def _summary(rows: Scored) -> dict[str, dict[str, float]]:
    """Means in percent, overall and per category."""
    out = {OVERALL: _mean([values for _, values in rows])}
    for category in sorted({c for c, _ in rows}):
        out[category] = _mean([values for c, values in rows if c == category])
    return out


def _mean(rows: Sequence[list[float]]) -> dict[str, float]:
    means = np.round(100 * np.mean(rows, axis=0), 2).tolist()
    return {"questions": float(len(rows)), **dict(zip(METRICS, means, strict=True))}


def _measure(folder: str, questions: Path) -> dict[str, Scored]:
    asked = [q for q in read_questions(questions) if q.evidence and q.conversation_id]
    asked.sort(key=lambda q: (q.tenant or "", q.conversation_id or "", q.question_id))
    found: dict[str, Scored] = {}
    with SearchSession.open(folder, kept=1) as session:
        vectors = session.embed([focus(q.question) for q in asked])
        plain = session.embed([q.question for q in asked])
        last: tuple[Searcher, Bm25] | None = None
        for question, vector, as_asked in zip(asked, vectors, plain, strict=True):
            searcher = session.searcher(question.conversation_id, question.tenant, None)
            if searcher is None:
                continue
            messages = searcher.index.messages
            if last is None or last[0] is not searcher:
                last = searcher, Bm25(TermCounts.of([terms(m["text"]) for m in messages]))
            for name, scores in _scores(searcher, last[1], question, vector, as_asked):
                order = np.argsort(-scores, kind="stable")[:_DEPTH].tolist()
                ranked = [messages[n]["message_id"] for n in order]
                metrics = [recall_at(ranked, question.evidence, k) for k in (5, 10, 20)]
                metrics.append(all_at(ranked, question.evidence, 10))
                metrics.append(ndcg_at(ranked, question.evidence, 10))
                found.setdefault(name, []).append((question.category, metrics))
    return found


def _scores(
    searcher: Searcher, words: Bm25, asked: AskedQuestion, vector: Vectors, as_asked: Vectors
) -> Iterable[tuple[str, Floats]]:
    index = searcher.index
    read = index.read(Question(asked.question, vector, asked.asked_at))

    def fused(weights: str, on: frozenset[str]) -> Floats:
        features = searcher.features(read, on)
        off = CHANNELS_OF["all"] - on
        return fuse(features, _WEIGHTS[weights], index.mean_length, off)[0]

    default = CHANNELS_OF["default"]
    lexical = words.scores(terms(asked.question))
    cosines = index.read(Question(asked.question, as_asked)).cosines
    dense, _ = index.best_of_facts(cosines[index.embedded])
    yield "BM25", lexical
    yield "vectors", dense
    yield "RRF of both", _reciprocal(lexical) + _reciprocal(dense)
    yield "memoryflow", fused("default", default)
    for channel in sorted(default):
        yield f"without {channel}", fused("default", default - {channel})
    for channel in sorted(OFF_BY_DEFAULT):
        yield f"with {channel}", fused("all", default | {channel})


def _reciprocal(scores: Floats) -> Floats:
    ranks = np.empty(scores.size)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, scores.size + 1)
    return 1 / (_RRF + ranks)


if __name__ == "__main__":
    main()
