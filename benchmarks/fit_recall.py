"""Fits operators/recall/weights.json to warehouses with questions whose evidence is known.

    python -m benchmarks.fit_recall WAREHOUSE:questions.jsonl ... > weights.json

Every set counts the same. A changed feature, or another extractor, asks for new weights.
"""

import sys
from pathlib import Path

import numpy as np

from jobs.search import SearchSession, read_questions
from operators.recall.conversation_index import Question
from operators.recall.fitting import Example, fit_weights
from operators.recall.fusion import FEATURES


def main() -> None:
    """Fit on the sets named on the command line and print the weights."""
    examples = [e for argument in sys.argv[1:] for e in _examples(argument)]
    weights = fit_weights(examples)
    lines = (f'  "{name}": [{short}, {long}]' for name, (short, long) in weights.items())
    print("{\n" + ",\n".join(lines) + "\n}")


def _examples(argument: str) -> list[Example]:
    folder, _, questions = argument.rpartition(":")
    asked = [q for q in read_questions(Path(questions)) if q.evidence and q.conversation_id]
    found: list[Example] = []
    with SearchSession.open(folder) as session:
        vectors = session.embed([q.question for q in asked])
        for question, vector in zip(asked, vectors, strict=True):
            searcher = session.searcher(question.conversation_id, question.tenant, None)
            if searcher is None:
                continue
            index = searcher.index
            numbers = {name: i for (_, _, name), i in index.number.items()}
            evidence = [numbers[name] for name in question.evidence if name in numbers]
            if not evidence:
                continue
            features, _ = index.features(Question(question.question, vector, question.asked_at))
            rows = np.stack([features[name] for name in FEATURES], axis=1)
            found.append(Example(rows, evidence, index.mean_length, argument))
    return found


if __name__ == "__main__":
    main()
