"""How often a question goes to the episode that holds its evidence.

    python -m benchmarks.replay.routing WAREHOUSE:questions.jsonl ...

"any": share of the questions whose episode holds some of their evidence; "share": how much of
the evidence it holds, on average. By evidence is what `memoryflow replay` does, by centroid what
EpiCache does; "best" knows the answer.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jobs.search import AskedQuestion, SearchSession, answer_all, read_questions
from operators.base import Vectors
from operators.embedding.model_id import MODEL_ID
from operators.recall.focus import focus
from operators.recall.searcher import Result
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.find_episodes import COLUMNS, find_episodes
from operators.replay.episodes.routing import route_by_centroid, route_by_evidence
from operators.replay.spec import EpisodeSpec
from transforms.warehouse.read import conversation_ids, read_table
from transforms.warehouse.scope import Conversation

_WHERE = {"messages": "is_current", "embeddings": f"model_id = '{MODEL_ID}'"}
_RESULTS = 10
_ROUTERS = ("evidence", "centroid", "best")


def main() -> None:
    """Print a table with a row for each set."""
    arguments = sys.argv[1:]
    if not arguments or any(":" not in argument for argument in arguments):
        sys.exit("usage: python -m benchmarks.replay.routing WAREHOUSE:questions.jsonl ...")
    heads = [f"{router}: any / share, %" for router in _ROUTERS]
    print(f"| set | questions | episodes a conversation | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * (2 + len(heads)))
    for argument in arguments:
        folder, _, questions = argument.rpartition(":")
        print(_row(folder, Path(questions)), flush=True)


def _row(folder: str, questions: Path) -> str:
    held: dict[Conversation, list[ReplayEpisode]] = {}
    found: list[list[float]] = []
    with SearchSession.open(folder) as session:
        tenants = {c: t for t, c in conversation_ids(session.warehouse)}
        asked = [q for q in read_questions(questions) if q.evidence and q.conversation_id]
        vectors = session.embed([focus(question.question) for question in asked])
        answers = answer_all(session, asked, _RESULTS)
        for (question, results), vector in zip(answers, vectors, strict=True):
            name = str(question.conversation_id)
            conversation = (question.tenant or tenants[name], name)
            if conversation not in held:
                held[conversation] = _episodes(session, conversation)
            found.append(_shares(question, results, vector, held[conversation]))
    shares = np.array(found)
    cells = [f"{(s > 0).mean() * 100:.1f} / {s.mean() * 100:.1f}" for s in shares.T]
    count = np.mean([len(episodes) for episodes in held.values()])
    return f"| {questions.parent.name} | {len(found)} | {count:.1f} | {' | '.join(cells)} |"


def _episodes(session: SearchSession, conversation: Conversation) -> list[ReplayEpisode]:
    tables = {
        name: read_table(session.warehouse, name, columns, [conversation], where=_WHERE.get(name))
        for name, columns in COLUMNS.items()
    }
    return find_episodes(tables["messages"], tables["facts"], tables["embeddings"], EpisodeSpec())


def _shares(
    question: AskedQuestion,
    results: Sequence[Result],
    vector: Vectors,
    episodes: Sequence[ReplayEpisode],
) -> list[float]:
    """How much of the evidence the episode of each router holds."""
    evidence = set(question.evidence)
    share = {e.episode_id: len(evidence & set(e.message_ids)) / len(evidence) for e in episodes}
    ranked = [result.source_message_ids for result in results]
    centroids = np.stack([episode.centroid for episode in episodes])
    nearest = episodes[route_by_centroid(vector, centroids)]
    by_evidence = route_by_evidence(ranked, episodes) or nearest
    return [share[by_evidence.episode_id], share[nearest.episode_id], max(share.values())]


if __name__ == "__main__":
    main()
