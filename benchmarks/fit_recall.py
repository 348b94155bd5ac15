"""Fits operators/recall/weights.json to warehouses with questions whose evidence is known.

    python -m benchmarks.fit_recall WAREHOUSE:questions.jsonl ... > weights.json

Every set counts the same. A changed feature, or another extractor, asks for new weights.
Standard error shows recall on each set with the shipped weights, with the new ones, and
with weights fitted to the other conversations (5 folds). `--no-folds` leaves that out.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jobs.search import AskedQuestion, SearchSession, read_questions
from operators.base import Vectors
from operators.recall.conversation_index import Question
from operators.recall.fitting import Example, fit_weights, folds
from operators.recall.fusion import FEATURES, load_weights
from operators.recall.metrics import recall_at
from operators.recall.searcher import Searcher

_DEPTHS = (5, 10, 20)
_FOLD_STEPS = 150
Recall = tuple[str, list[float]]  # set, recall at each depth


def main() -> None:
    """Fit on the sets named on the command line and print the weights."""
    arguments = [a for a in sys.argv[1:] if a != "--no-folds"]
    if not arguments or any(":" not in a for a in arguments):
        sys.exit("usage: python -m benchmarks.fit_recall WAREHOUSE:questions.jsonl ...")
    start = time.perf_counter()
    examples = [e for argument in arguments for e in _examples(argument)]
    if not examples:
        sys.exit("no question has evidence in its warehouse")
    _note(f"{len(examples)} questions, {time.perf_counter() - start:.0f} s")
    _note(f"| weights | set | questions | {' | '.join(f'recall@{k}' for k in _DEPTHS)} |")
    _note("|" + " --- |" * (3 + len(_DEPTHS)))
    shipped = dict.fromkeys(FEATURES, (0.0, 0.0)) | load_weights()
    _table("shipped", (_recall(e, shipped) for e in examples))
    weights = fit_weights(examples)
    _table("fitted", (_recall(e, weights) for e in examples))
    if "--no-folds" not in sys.argv:
        _table("5 folds", _held_out(examples))
    _note(f"{time.perf_counter() - start:.0f} s")
    lines = (f'  "{name}": [{short}, {long}]' for name, (short, long) in weights.items())
    print("{\n" + ",\n".join(lines) + "\n}")


def _held_out(examples: Sequence[Example]) -> Iterable[Recall]:
    for train, test in folds(examples):
        weights = fit_weights(train, steps=_FOLD_STEPS)
        yield from (_recall(e, weights) for e in test)


def _recall(example: Example, weights: dict[str, tuple[float, float]]) -> Recall:
    ranked = [str(n) for n in example.ranked(weights)[: max(_DEPTHS)]]
    evidence = [str(n) for n in example.evidence]
    return example.group, [recall_at(ranked, evidence, k) for k in _DEPTHS]


def _table(name: str, found: Iterable[Recall]) -> None:
    sets: dict[str, list[list[float]]] = {}
    for group, values in found:
        sets.setdefault(group, []).append(values)
    for group, rows in sets.items():
        means = " | ".join(f"{m:.1f}" for m in 100 * np.mean(rows, axis=0))
        _note(f"| {name} | {group} | {len(rows)} | {means} |")


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _examples(argument: str) -> list[Example]:
    """The questions of `WAREHOUSE:questions.jsonl`, by conversation: one index at a time."""
    folder, _, questions = argument.rpartition(":")
    asked = [q for q in read_questions(Path(questions)) if q.evidence and q.conversation_id]
    asked.sort(key=lambda q: (q.tenant or "", q.conversation_id or "", q.question_id))
    found: list[Example] = []
    with SearchSession.open(folder, kept=1) as session:
        vectors = session.embed([q.question for q in asked])
        for question, vector in zip(asked, vectors, strict=True):
            searcher = session.searcher(question.conversation_id, question.tenant, None)
            example = searcher and _example(searcher, question, vector, Path(questions))
            if example:
                found.append(example)
    return found


def _example(
    searcher: Searcher, asked: AskedQuestion, vector: Vectors, questions: Path
) -> Example | None:
    index = searcher.index
    numbers = {name: i for (_, _, name), i in index.number.items()}
    evidence = [numbers[name] for name in asked.evidence if name in numbers]
    if not evidence:
        return None
    features, _ = index.features(Question(asked.question, vector, asked.asked_at))
    rows = np.stack([features[name] for name in FEATURES], axis=1)
    name = questions.parent.name if questions.stem == "questions" else questions.stem
    return Example(rows, evidence, index.mean_length, name, asked.conversation_id or "")


if __name__ == "__main__":
    main()
