"""What a search does where its evidence is thin: it asks the raw history."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from jobs.errors import JobError
from jobs.observe.logs import say
from jobs.replay.engines import check_installed
from jobs.replay.kv_rows import KvEpisode, read_kv_rows
from jobs.replay.recorded_spec import recorded_spec, spec_of_caches
from jobs.replay.routes import find_route
from jobs.replay.session import Replayed, ReplaySession
from operators.base import Vectors
from operators.recall.searcher import Result
from operators.recall.thin_evidence import REPLAY
from operators.replay.spec import ReplaySpec
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import Conversation


class Escalation:
    """Answers of the raw history beside the results of a search; close it.

    Only conversations that have all their caches are asked; none is made here. Whatever is
    in the way leaves the results as they are, with a line on stderr, once each. The model
    is loaded with the first question and kept.

    Args:
        warehouse: open, for reading at least.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._sessions: dict[ReplaySpec, ReplaySession] = {}
        self._told: set[str] = set()
        self._off = False

    def ask(
        self, question: str, asked_at: datetime | None, results: Sequence[Result], vector: Vectors
    ) -> list[Result]:
        """`results`, behind the answer of the first one's conversation where there is one.

        The answer takes the place of the last result. Its `source_message_ids` are the
        messages of its episode, what the search found first.
        """
        if self._off or not results:
            return list(results)
        first = results[0]
        try:
            found = self._answer(
                question, asked_at, results, vector, (first.tenant, first.conversation_id)
            )
        # Models fail in many ways, all of them RuntimeErrors: JobError is one, torch has others.
        except (RuntimeError, ValueError, OSError, ImportError) as error:
            self._tell(f"no replay: {error}")
            return list(results)
        if found is None:
            return list(results)
        behind = results[: len(results) - 1]
        return [
            replace(result, rank=rank)
            for rank, result in enumerate([as_result(found, results), *behind], 1)
        ]

    def forget(self) -> None:
        """See what was committed since."""
        self._off = False
        for session in self._sessions.values():
            session.forget()

    def close(self) -> None:
        """End the engines."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _answer(
        self,
        question: str,
        asked_at: datetime | None,
        results: Sequence[Result],
        vector: Vectors,
        conversation: Conversation,
    ) -> Replayed | None:
        rows = read_kv_rows(self._warehouse, conversation)
        if not rows:
            return None
        session = self._opened(rows)
        caches = session.caches(conversation)
        tenant, name = conversation
        mine = [r for r in results if (r.tenant, r.conversation_id) == (tenant, name)]
        route = find_route(question, asked_at, mine, vector, caches)
        (found,) = session.answer([route])
        return found if found.answer else None

    def _opened(self, rows: Sequence[KvEpisode]) -> ReplaySession:
        """Of the compression that these caches have; conversations may differ in it."""
        spec = spec_of_caches(recorded_spec(self._warehouse), rows)
        # In this process, whatever the section says: a search starts no cluster.
        spec = spec.model_copy(update={"actors": 0})
        if spec not in self._sessions:
            try:
                check_installed(spec)
            except JobError:
                self._off = True
                raise
            self._sessions[spec] = ReplaySession(self._warehouse, spec)
        return self._sessions[spec]

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            say("search.replay", f"memoryflow: {line}", level="warning")


def as_result(found: Replayed, results: Sequence[Result]) -> Result:
    """The answer as the first result: as good as the best, of the time of its best evidence."""
    route = found.route
    at = {name: r.event_time for r in reversed(results) for name in r.source_message_ids}
    times = [at[name] for name in route.evidence if name in at]
    return Result(
        rank=1,
        score=results[0].score,
        kind=REPLAY,
        id=route.cache.kv_episode_id,
        text=found.answer,
        event_time=times[0] if times else results[0].event_time,
        source_message_ids=route.source_message_ids,
        conversation_id=route.cache.conversation_id,
        tenant=route.cache.tenant,
        tier=REPLAY,
    )
