"""Fits operators/recall/weights.json to warehouses with questions whose evidence is known.

    python -m benchmarks.fit_recall WAREHOUSE:questions.jsonl ... > weights.json

Prints the three sets of weights of `fusion.CHANNELS_OF`: for what finds the seeds, for the
channels on by default, and for all of them. Channels that start from seeds are computed with
the shipped ones, so fit twice where those change. A changed feature, or another extractor,
asks for new weights.

Standard error shows recall on each set with the shipped weights, with the new ones, and
with weights fitted to the other conversations (5 folds). `--ablate` adds, by the same folds,
the default without each of its channels and with each that is off; `--no-folds` leaves all
of that out. The 150 best messages of each question by the shipped weights are ranked.
"""

import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from jobs.search import AskedQuestion, SearchSession, read_questions
from operators.base import Vectors
from operators.recall.conversation_index import Question
from operators.recall.fitting import Example, fit_weights, folds
from operators.recall.focus import focus
from operators.recall.fusion import (
    CHANNELS_OF,
    FEATURES,
    OFF_BY_DEFAULT,
    features_of,
    fuse,
    load_weights,
)
from operators.recall.metrics import recall_at
from operators.recall.searcher import Searcher

_DEPTHS = (5, 10, 20)
_CANDIDATES = 150
_FLAGS = {"--no-folds", "--ablate"}
Recall = tuple[str, list[float]]  # set, recall at each depth


def main() -> None:
    """Fit on the sets named on the command line and print the weights."""
    arguments = [a for a in sys.argv[1:] if a not in _FLAGS]
    if not arguments or any(":" not in a for a in arguments):
        sys.exit("usage: python -m benchmarks.fit_recall WAREHOUSE:questions.jsonl ...")
    start = time.perf_counter()
    examples = [e for argument in arguments for e in examples_of(argument)]
    if not examples:
        sys.exit("no question has evidence in its warehouse")
    _note(f"{len(examples)} questions, {time.perf_counter() - start:.0f} s")
    _note(f"| weights | set | questions | {' | '.join(f'recall@{k}' for k in _DEPTHS)} |")
    _note("|" + " --- |" * (3 + len(_DEPTHS)))
    _table("shipped", (_recall(e, load_weights()) for e in examples))
    fitted = {name: fit_weights(examples, features_of(on)) for name, on in CHANNELS_OF.items()}
    _table("fitted", (_recall(e, fitted["default"]) for e in examples))
    if "--no-folds" not in sys.argv:
        _folds(examples, ablate="--ablate" in sys.argv)
    _note(f"{time.perf_counter() - start:.0f} s")
    print(_as_json(fitted))


def _as_json(fitted: dict[str, dict[str, tuple[float, float]]]) -> str:
    """The weights as JSON, a line per feature."""
    sets: list[str] = []
    for name, weights in fitted.items():
        lines = (f'  "{f}": [{short}, {long}]' for f, (short, long) in weights.items())
        sets.append(f' "{name}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(sets) + "\n}"


def _folds(examples: Sequence[Example], *, ablate: bool) -> None:
    on = CHANNELS_OF["default"]
    _table("5 folds", held_out(examples, on))
    if ablate:
        for channel in sorted(on):
            _table(f"5 folds, without {channel}", held_out(examples, on - {channel}))
        for channel in sorted(OFF_BY_DEFAULT):
            _table(f"5 folds, with {channel}", held_out(examples, on | {channel}))


def held_out(examples: Sequence[Example], channels: Collection[str]) -> Iterable[Recall]:
    """Recall of each question by weights fitted to the other conversations."""
    for train, test in folds(examples):
        weights = fit_weights(train, features_of(channels))
        yield from (_recall(e, weights) for e in test)


def _recall(example: Example, weights: dict[str, tuple[float, float]]) -> Recall:
    ranked = [str(n) for n in example.ranked(weights)[: max(_DEPTHS)]]
    evidence = [str(n) for n in example.evidence]
    found = len(evidence) / (len(evidence) + example.missed)
    return example.group, [
        found * recall_at(ranked, evidence, k) if evidence else 0.0 for k in _DEPTHS
    ]


def _table(name: str, found: Iterable[Recall]) -> None:
    sets: dict[str, list[list[float]]] = {}
    for group, values in found:
        sets.setdefault(group, []).append(values)
    for group, rows in sets.items():
        means = " | ".join(f"{m:.1f}" for m in 100 * np.mean(rows, axis=0))
        _note(f"| {name} | {group} | {len(rows)} | {means} |")


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def examples_of(argument: str) -> list[Example]:
    """The questions of `WAREHOUSE:questions.jsonl`, by conversation: one index at a time."""
    folder, _, questions = argument.rpartition(":")
    asked = [q for q in read_questions(Path(questions)) if q.evidence and q.conversation_id]
    asked.sort(key=lambda q: (q.tenant or "", q.conversation_id or "", q.question_id))
    found: list[Example] = []
    with SearchSession.open(folder, kept=1) as session:
        vectors = session.embed([focus(q.question) for q in asked])
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
    read = index.read(Question(asked.question, vector, asked.asked_at))
    features = searcher.features(read, CHANNELS_OF["all"])
    scores, _ = fuse(features, load_weights(), index.mean_length)
    best = np.argsort(-scores, kind="stable")[:_CANDIDATES]
    rows = np.stack([features[name][best] for name in FEATURES], axis=1).astype(np.float32)
    place = {number: row for row, number in enumerate(best.tolist())}
    kept = [place[number] for number in evidence if number in place]
    return Example(
        features=rows,
        evidence=kept,
        mean_length=index.mean_length,
        group=questions.parent.name if questions.stem == "questions" else questions.stem,
        conversation=asked.conversation_id or "",
        category=asked.category,
        missed=len(evidence) - len(kept),
    )


if __name__ == "__main__":
    main()
