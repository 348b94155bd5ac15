"""Questions to conversations, answered from their caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.errors import UsageError
from jobs.replay.routes import Route, find_route
from jobs.replay.session import Replayed, ReplaySession
from jobs.search import AskedQuestion, QuestionError, SearchSession
from operators.recall.focus import focus
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.read import conversation_ids
from transforms.warehouse.scope import Conversation

_EVIDENCE = 10
"""Results of the search that say which episode a question goes to."""


@dataclass(frozen=True)
class ReplayQuestion:
    """A question to one conversation.

    Attributes:
        question: as asked.
        conversation: (tenant, conversation id).
        asked_at: when, as told to the model; None tells nothing.
        question_id: of a batch.
    """

    question: str
    conversation: Conversation
    asked_at: datetime | None = None
    question_id: str | None = None


def answer(
    session: ReplaySession, search: SearchSession, questions: Sequence[ReplayQuestion]
) -> list[Replayed]:
    """Answers in order; all questions are embedded, searched and asked together.

    Raises:
        EngineError: a conversation lacks caches, or the engine cannot answer.
    """
    if not questions:
        return []
    vectors = search.embed([focus(asked.question) for asked in questions])
    routes: list[Route] = []
    for asked, vector in zip(questions, vectors, strict=True):
        tenant, conversation = asked.conversation
        results = search.search(
            asked.question,
            conversation=conversation,
            tenant=tenant,
            asked_at=asked.asked_at,
            k=_EVIDENCE,
            vector=vector,
        )
        caches = session.caches(asked.conversation)
        routes.append(
            find_route(asked.question, asked.asked_at, results, vector, caches, asked.question_id)
        )
    return session.answer(routes)


def wanted_conversations(
    warehouse: Warehouse, conversation: str | None, tenant: str | None
) -> list[Conversation]:
    """The conversations that are named; all that there are where none is.

    Raises:
        UsageError: there is none.
    """
    known = conversation_ids(warehouse)
    found = [(t, c) for t, c in known if conversation in (None, c) and tenant in (None, t)]
    if not found:
        named = "no conversation" if conversation is None else f"no conversation {conversation!r}"
        whose = "" if tenant is None else f" of tenant {tenant!r}"
        raise UsageError(f"{warehouse.path}: {named}{whose} here")
    return found


def one_conversation(warehouse: Warehouse, conversation: str, tenant: str | None) -> Conversation:
    """The conversation of that name.

    Raises:
        UsageError: there is none, or several tenants have one.
    """
    found = wanted_conversations(warehouse, conversation, tenant)
    if len(found) > 1:
        tenants = ", ".join(repr(name) for name, _ in found)
        raise UsageError(
            f"conversation {conversation!r} is of several tenants: {tenants}; give --tenant"
        )
    return found[0]


def batch_questions(
    warehouse: Warehouse,
    path: Path,
    asked: Sequence[AskedQuestion],
    conversation: str | None,
    tenant: str | None,
) -> list[ReplayQuestion]:
    """Lines of a file of questions, each with its conversation.

    `conversation` and `tenant` stand for lines that name none.

    Raises:
        UsageError: a line's conversation is not named, or not here.
    """
    out: list[ReplayQuestion] = []
    for number, line in enumerate(asked, 1):
        name = line.conversation_id or conversation
        if name is None:
            problem = "'conversation_id' is missing; name it, or give --conversation"
            raise QuestionError.at(path, number, problem)
        known = one_conversation(warehouse, name, line.tenant or tenant)
        out.append(ReplayQuestion(line.question, known, line.asked_at, line.question_id))
    return out
