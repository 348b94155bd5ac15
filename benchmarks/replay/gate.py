"""How well the gate of the deep tier foresees that a search has missed evidence.

    python -m benchmarks.replay.gate WAREHOUSE:questions.jsonl ... [--every N]

Ten results of the deep tier. Precision: of the questions that the gate holds for, how many miss
some (or all) of their evidence; recall: of those that do, for how many it holds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jobs.search import AskedQuestion, SearchOptions, SearchSession, read_questions
from operators.recall.conversation_index import Question
from operators.recall.focus import focus
from operators.recall.fusion import OFF_BY_DEFAULT
from operators.recall.thin_evidence import CANDIDATES, is_thin

_DEEP = SearchOptions(tier="deep")
Judged = tuple[bool, bool, bool]
"""The gate holds; some of the evidence is missed; all of it is."""


def main() -> None:
    """Print a table with two rows for each set, and for all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="+", help="WAREHOUSE:questions.jsonl")
    parser.add_argument("--every", type=int, default=1, help="take every N-th question only")
    options = parser.parse_args()
    print("| set | missed | questions that do, % | gate holds, % | precision, % | recall, % |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    everything: list[Judged] = []
    for argument in options.sets:
        folder, _, questions = argument.rpartition(":")
        judged = _judged(folder, Path(questions), options.every)
        everything += judged
        _print(Path(questions).parent.name, judged)
    _print("all", everything)


def _judged(folder: str, path: Path, every: int) -> list[Judged]:
    asked = [question for question in read_questions(path) if question.evidence][::every]
    with SearchSession.open(folder) as session:
        return [_judge(session, question) for question in asked]


def _judge(session: SearchSession, asked: AskedQuestion) -> Judged:
    results = session.search(
        asked.question,
        conversation=asked.conversation_id,
        tenant=asked.tenant,
        asked_at=asked.asked_at,
        options=_DEEP,
    )
    found = {name for result in results for name in result.source_message_ids}
    missed = [name for name in asked.evidence if name not in found]
    searcher = session.searcher(asked.conversation_id, asked.tenant, None)
    scores: list[float] = []
    if searcher is not None:
        question = Question(
            asked.question, session.embed([focus(asked.question)])[0], asked.asked_at
        )
        candidates = searcher.search(question, CANDIDATES, (), OFF_BY_DEFAULT)
        scores = [result.score for result in candidates]
    return is_thin(scores), bool(missed), len(missed) == len(asked.evidence)


def _print(name: str, judged: Sequence[Judged]) -> None:
    holds = sum(thin for thin, _, _ in judged)
    for which, label in ((1, "some"), (2, "all")):
        do = sum(one[which] for one in judged)
        both = sum(one[0] and one[which] for one in judged)
        shares = (do / len(judged), holds / len(judged), both / max(1, holds), both / max(1, do))
        print(f"| {name} | {label} | {' | '.join(f'{100 * s:.0f}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
