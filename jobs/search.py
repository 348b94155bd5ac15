"""Search: the warehouse's tables into searchers, questions into ranked results."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from jobs.access_log import AccessLog
from jobs.archive import ArchiveRule
from jobs.embedding_models import model_of_warehouse, of_model
from jobs.errors import UsageError
from jobs.tenants import check_one_tenant
from operators.base import Tables, Vectors
from operators.embedding.host import Embedder
from operators.embedding.models import embedding_model
from operators.embedding.tokens import MiniLmTokens
from operators.recall.budget import within_budget
from operators.recall.context import with_context
from operators.recall.conversation_index import SEARCHED, ConversationIndex, Question
from operators.recall.focus import focus
from operators.recall.fusion import OFF_BY_DEFAULT
from operators.recall.profile import LOOKED_UP
from operators.recall.searcher import Result, Searcher
from operators.recall.thin_evidence import CANDIDATES, REPLAY, is_thin
from operators.recall.tiers import AUTO, DEEP, DEEP_CONTEXT, TieredSearcher
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import conversation_ids, read_table, tables_with_rows
from transforms.warehouse.scope import Conversation

if TYPE_CHECKING:
    from jobs.replay.escalation import Escalation

_Said = tuple[str, str, str]  # Tenant, conversation and id of a message.
_REQUIRED = ("question_id", "question")


class QuestionError(UsageError):
    """A line of a file of questions cannot be used."""

    @classmethod
    def at(cls, path: Path, line: int, problem: str) -> "QuestionError":
        """Name the place and what is wrong."""
        return cls(f"{path}:{line}: {problem}")


@dataclass(frozen=True)
class AskedQuestion:
    """A line of a file of questions."""

    question_id: str
    question: str
    conversation_id: str | None
    asked_at: datetime | None
    tenant: str | None
    category: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class SearchOptions:
    """How to search, whatever the question.

    Attributes:
        tier: see `operators.recall.tiers`.
        without: channels to leave out.
        also: channels to use that are off by default.
        archive: SQL condition over `memory_heat`; facts that it holds for are not found,
            nor messages and personas that rest on such facts alone.
        context: messages before and after each result.
        max_tokens: cut the results to so many tokens; at least one stays.
        replay: where tier `deep` finds thin evidence, ask the raw history (`jobs.replay`), if
            its caches are there. Not where `auto` went deep, which must stay quick, and not
            with `as_of` or `archive`: caches leave nothing out.
    """

    tier: str = AUTO
    without: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    archive: str | None = None
    context: int = 0
    max_tokens: int | None = None
    replay: bool = False


_PLAIN = SearchOptions()


class SearchSession:
    """An open warehouse with the searchers used last; close it, or use it as a context.

    A searcher is built on the first question to its conversation and kept, so that the
    next one costs the question's embedding and a few sums. What is committed afterwards is
    not seen: `refresh` forgets the searchers.

    Args:
        warehouse: the open warehouse.
        kept: searchers kept.
    """

    def __init__(self, warehouse: Warehouse, kept: int = 64):
        self._warehouse = warehouse
        self._kept = kept
        self._searchers: OrderedDict[tuple[Any, ...], TieredSearcher] = OrderedDict()
        self._models: dict[str, Embedder] = {}
        self._model_id: str | None = None
        self._tokens: MiniLmTokens | None = None
        self._rules: dict[str, ArchiveRule] = {}
        self._conversations: list[Conversation] | None = None
        self._escalation: Escalation | None = None

    @classmethod
    def open(cls, path: Path | str, kept: int = 64) -> "SearchSession":
        """Open the warehouse at `path`, read-only."""
        return cls(open_warehouse(path, read_only=True), kept)

    @property
    def warehouse(self) -> Warehouse:
        """The open warehouse."""
        return self._warehouse

    def close(self) -> None:
        """Close the warehouse, and what answers from the raw history."""
        if self._escalation is not None:
            self._escalation.close()
        self._warehouse.close()

    def refresh(self) -> None:
        """See what was committed since."""
        if self._escalation is not None:
            self._escalation.forget()
        self._searchers.clear()
        self._conversations = self._model_id = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of the questions, by the model whose vectors the warehouse holds."""
        name = self._model()
        if name not in self._models:
            self._models[name] = embedding_model(name).open()
        return self._models[name].embed(texts)

    def search(
        self,
        question: str,
        *,
        conversation: str | None = None,
        tenant: str | None = None,
        as_of: datetime | None = None,
        asked_at: datetime | None = None,
        k: int = 10,
        options: SearchOptions = _PLAIN,
        vector: Vectors | None = None,
    ) -> list[Result]:
        """The `k` best memories; over all conversations of the tenant unless one is given.

        Raises:
            UsageError: no tenant is given, and what would be searched is of several.
        """
        archived = self._archived(options.archive, conversation, tenant, as_of or asked_at)
        searcher = self._tiered(conversation, tenant, as_of)
        if searcher is None:
            return []
        known = self.embed([focus(question)])[0] if vector is None else vector
        asked = Question(question, known, asked_at or as_of)

        def ranked(count: int) -> list[Result]:
            return searcher.search(asked, count, options.tier, options.without, options.also)

        silent = _silent_messages(searcher.searcher.index, archived)
        results = _not_archived(ranked, k, archived, silent)
        turns = max([options.context, *(DEEP_CONTEXT for r in results if r.tier == DEEP)])
        if turns:
            results = with_context(results, searcher.searcher.index, turns)
        if options.replay and options.tier == DEEP and not (as_of or options.archive):
            results = self._with_replay(asked, results, searcher.searcher, options.without)
        if options.max_tokens is not None:
            results = within_budget(results, options.max_tokens, self._count_tokens)
        return results

    def _with_replay(
        self, asked: Question, results: list[Result], searcher: Searcher, without: Sequence[str]
    ) -> list[Result]:
        """`results`, behind an answer from the raw history where their evidence is thin."""
        if not self._has_caches():
            return results
        candidates = searcher.search(asked, CANDIDATES, without, OFF_BY_DEFAULT)
        if not is_thin([result.score for result in candidates]):
            return results
        if self._escalation is None:
            from jobs.replay.escalation import Escalation  # noqa: PLC0415 - only where it is used

            self._escalation = Escalation(self._warehouse)
        return self._escalation.ask(asked.text, asked.asked_at, results, asked.vector)

    def _has_caches(self) -> bool:
        return "kv_episodes" in tables_with_rows(self._warehouse)

    def searcher(
        self, conversation: str | None, tenant: str | None, as_of: datetime | None
    ) -> Searcher | None:
        """The searcher over what was asked for, built or kept; None where there is nothing."""
        tiered = self._tiered(conversation, tenant, as_of)
        return None if tiered is None else tiered.searcher

    def _tiered(
        self, conversation: str | None, tenant: str | None, as_of: datetime | None
    ) -> TieredSearcher | None:
        key = (conversation, tenant, as_of)
        if key in self._searchers:
            self._searchers.move_to_end(key)
            return self._searchers[key]
        wanted = self._wanted(conversation, tenant)
        if not wanted:
            return None
        personas = read_table(self._warehouse, "personas", LOOKED_UP, wanted).to_pylist()
        searcher = TieredSearcher(
            Searcher(self._tables(wanted), as_of=as_of), personas, self.embed, as_of=as_of
        )
        self._searchers[key] = searcher
        while len(self._searchers) > self._kept:
            self._searchers.popitem(last=False)
        return searcher

    def _archived(
        self,
        condition: str | None,
        conversation: str | None,
        tenant: str | None,
        at: datetime | None,
    ) -> frozenset[str]:
        if condition is None:
            return frozenset()
        if condition not in self._rules:
            self._rules[condition] = ArchiveRule(self._warehouse, condition)
        wanted = self._wanted(conversation, tenant)
        return self._rules[condition].archived(at or datetime.now(UTC), wanted)

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        if self._tokens is None:
            self._tokens = MiniLmTokens()
        return self._tokens.counts(texts)

    def _wanted(self, conversation: str | None, tenant: str | None) -> list[Conversation]:
        found = [
            (t, c) for t, c in self._known() if conversation in (None, c) and tenant in (None, t)
        ]
        what = "the memory searched" if conversation is None else f"conversation {conversation!r}"
        fix = 'give --tenant, or the question of a batch its "tenant"'
        check_one_tenant((name for name, _ in found), what, fix)
        return found

    def _model(self) -> str:
        if self._model_id is None:
            self._model_id = model_of_warehouse(self._warehouse)
        return self._model_id

    def _known(self) -> list[Conversation]:
        if self._conversations is None:
            self._conversations = conversation_ids(self._warehouse)
        return self._conversations

    def _tables(self, wanted: list[Conversation]) -> Tables:
        only = {"messages": "is_current", "embeddings": of_model(self._model())}

        def read(name: str) -> pa.Table:
            columns, where = SEARCHED[name], only.get(name)
            return read_table(self._warehouse, name, columns, wanted, where=where)

        return _TablesOnDemand(read)


class _TablesOnDemand(Mapping[str, pa.Table]):
    """The tables of `SEARCHED`, each read when it is first asked for.

    Channels that are off read nothing. A table read later than another may be newer: ids in
    it that are not known are passed over.
    """

    def __init__(self, read: Callable[[str], pa.Table]):
        self._read = read
        self._found: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._found:
            self._found[name] = self._read(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SEARCHED)

    def __len__(self) -> int:
        return len(SEARCHED)


def _silent_messages(index: ConversationIndex, archived: frozenset[str]) -> frozenset[_Said]:
    """Messages that have facts, all of them archived.

    A fact that is superseded is shown as its bare message, and a persona by the messages of its
    evidence: neither has the id of a fact, so the messages have to be known, too.
    """
    if not archived:
        return frozenset()
    known = {fact["fact_id"] for fact in index.facts}
    silenced, telling = set[int](), set[int]()
    for number, fact in zip(index.fact_message.tolist(), index.facts, strict=True):
        stands = fact["canonical_id"] if fact["canonical_id"] in known else fact["fact_id"]
        (silenced if stands in archived else telling).add(number)
    silent = (index.messages[number] for number in silenced - telling)
    return frozenset((m["tenant"], m["conversation_id"], m["message_id"]) for m in silent)


def _not_archived(
    ranked: Callable[[int], list[Result]],
    k: int,
    archived: frozenset[str],
    silent: frozenset[_Said],
) -> list[Result]:
    """The `k` best results whose memory is not archived, asking for more until they are full."""

    def is_kept(result: Result) -> bool:
        place = (result.tenant, result.conversation_id)
        said = {(*place, message) for message in result.source_message_ids}
        return result.id not in archived and not (said and said <= silent)

    count = k + len(archived)
    while True:
        found = ranked(count)
        kept = [result for result in found if is_kept(result)][:k]
        if len(kept) == k or len(found) < count:
            return [replace(result, rank=rank) for rank, result in enumerate(kept, 1)]
        count *= 2


def search(
    warehouse: Path | str,
    question: str,
    *,
    conversation: str | None = None,
    tenant: str | None = None,
    as_of: datetime | None = None,
    asked_at: datetime | None = None,
    k: int = 10,
    options: SearchOptions = _PLAIN,
) -> list[dict[str, Any]]:
    """One question to the warehouse at a path; results as the contract's JSON objects."""
    with SearchSession.open(warehouse) as session:
        results = session.search(
            question,
            conversation=conversation,
            tenant=tenant,
            as_of=as_of,
            asked_at=asked_at,
            k=k,
            options=options,
        )
    return [r.as_json() for r in results]


def search_batch(
    session: SearchSession,
    questions: Path,
    k: int = 10,
    *,
    as_of: datetime | None = None,
    options: SearchOptions = _PLAIN,
    log: AccessLog | None = None,
    conversation: str | None = None,
    tenant: str | None = None,
) -> Iterator[dict[str, Any]]:
    """`{"question_id", "results"}` per line of a file of questions, in its order.

    The file is read whole before the first result, so that a bad line (QuestionError)
    is reported before any work. What is found is added to `log`. `conversation` and `tenant`
    stand for lines that name none.
    """
    lines = [within(line, conversation, tenant) for line in read_questions(questions)]
    for asked, results in answer_all(session, lines, k, as_of, options):
        if log is not None:
            log.add(asked.question, found_memories(results))
        yield {"question_id": asked.question_id, "results": [r.as_json() for r in results]}


def within(asked: AskedQuestion, conversation: str | None, tenant: str | None) -> AskedQuestion:
    """The question, to this conversation and tenant where it names none."""
    return replace(
        asked,
        conversation_id=asked.conversation_id or conversation,
        tenant=asked.tenant or tenant,
    )


def found_memories(results: Iterable[Result]) -> list[Result]:
    """The results that are memories: what an access log counts."""
    return [result for result in results if result.kind != REPLAY]


def answer_all(
    session: SearchSession,
    questions: Sequence[AskedQuestion],
    k: int,
    as_of: datetime | None = None,
    options: SearchOptions = _PLAIN,
) -> Iterator[tuple[AskedQuestion, list[Result]]]:
    """Each question with its results; all questions are embedded first."""
    vectors = session.embed([focus(q.question) for q in questions])
    for asked, vector in zip(questions, vectors, strict=True):
        yield (
            asked,
            session.search(
                asked.question,
                conversation=asked.conversation_id,
                tenant=asked.tenant,
                as_of=as_of,
                asked_at=asked.asked_at,
                k=k,
                options=options,
                vector=vector,
            ),
        )


def read_questions(path: Path) -> list[AskedQuestion]:
    """Questions of a JSON Lines file; QuestionError names the line that is wrong."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise QuestionError(f"{path}: {error.strerror}; give a JSON Lines file") from error
    return list(_parsed(path, lines))


def _parsed(path: Path, lines: Iterable[bytes]) -> Iterator[AskedQuestion]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise QuestionError.at(path, number, f"not JSON ({error})") from error
        if not isinstance(row, dict):
            raise QuestionError.at(path, number, "a JSON object is needed")
        for name in _REQUIRED:
            if not isinstance(row.get(name), str):
                raise QuestionError.at(path, number, f"{name!r} is missing or no string")
        yield AskedQuestion(
            question_id=row["question_id"],
            question=row["question"],
            conversation_id=_optional_string(path, number, row, "conversation_id"),
            asked_at=_time(path, number, row.get("asked_at")),
            tenant=_optional_string(path, number, row, "tenant"),
            category=str(row.get("category") or ""),
            evidence=_evidence(path, number, row.get("evidence")),
        )


def _optional_string(path: Path, line: int, row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise QuestionError.at(path, line, f"{name!r} is no string")
    return value


def _time(path: Path, line: int, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise QuestionError.at(path, line, f"'asked_at' is no RFC 3339 time ({error})") from error
    if moment.tzinfo is None:
        raise QuestionError.at(path, line, "'asked_at' has no time zone; add Z or an offset")
    return moment


def _evidence(path: Path, line: int, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise QuestionError.at(path, line, "'evidence' is no list of message ids")
    return tuple(dict.fromkeys(value))
