"""`memoryflow eval`: how much of the known evidence is found, by category."""

import math
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.errors import UsageError
from jobs.observe.logs import say
from jobs.search import (
    AskedQuestion,
    SearchOptions,
    SearchSession,
    answer_all,
    read_questions,
    within,
)
from operators.recall.metrics import all_at, ndcg_at, recall_at
from operators.recall.searcher import Result
from transforms.warehouse.read import conversation_ids

DEPTH = 20
METRICS = ("recall@5", "recall@10", "recall@20", "all_evidence@10", "ndcg@10")
Report = dict[str, dict[str, float]]


def evaluate(
    session: SearchSession,
    questions: Path,
    *,
    as_of: datetime | None = None,
    options: SearchOptions | None = None,
    tenant: str | None = None,
) -> Report:
    """Percentages per category and `overall`: means over the questions with evidence.

    The ranked messages of a question are the first source message of each result, once.
    `tenant` stands for questions that name none. Questions about conversations that are not in
    the warehouse count as missed; stderr says how many, for they may be those of other logs.
    Raises UsageError where no question has evidence.
    """
    asked = [within(q, None, tenant) for q in read_questions(questions) if q.evidence]
    if not asked:
        raise UsageError(f"{questions}: no question has 'evidence' (message ids)")
    _warn_of_strangers(session, asked)
    answers = answer_all(session, asked, DEPTH, as_of, options or SearchOptions())
    scored = [(q, score(q, ranked_messages(results))) for q, results in answers]
    report: Report = {}
    for category in sorted({q.category for q in asked if q.category}):
        report[category] = _mean([s for q, s in scored if q.category == category])
    return report | {"overall": _mean([s for _, s in scored])}


def ranked_messages(results: Sequence[Result]) -> list[str]:
    """Message ids in rank order, each once."""
    return list(dict.fromkeys(r.source_message_ids[0] for r in results))


def score(question: AskedQuestion, ranked: Sequence[str]) -> dict[str, float]:
    """Every metric of one question, 0 to 1."""
    evidence = question.evidence
    values = [recall_at(ranked, evidence, k) for k in (5, 10, 20)]
    values += [all_at(ranked, evidence, 10), ndcg_at(ranked, evidence, 10)]
    return dict(zip(METRICS, values, strict=True))


def render(report: Report) -> str:
    """The report as a table for people."""
    table = Table(show_edge=False)
    for name in ("category", "questions", *METRICS):
        table.add_column(name, justify="left" if name == "category" else "right")
    for category, row in report.items():
        values = [f"{row[m]:.1f}" for m in METRICS]
        table.add_row(category, str(row["questions"]), *values)
    out = StringIO()
    Console(file=out, width=120, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _warn_of_strangers(session: SearchSession, asked: Sequence[AskedQuestion]) -> None:
    there = conversation_ids(session.warehouse)
    known = {*there, *((None, conversation) for _, conversation in there)}
    strange = [q for q in asked if q.conversation_id and (q.tenant, q.conversation_id) not in known]
    if strange:
        such = f"such as {strange[0].conversation_id!r}: nothing can be found"
        say(
            "eval.strangers",
            f"memoryflow: {len(strange):,} of {len(asked):,} questions are about conversations "
            f"that are not in the warehouse, {such}",
            level="warning",
            questions=len(strange),
        )


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    means = {m: round(100 * math.fsum(r[m] for r in rows) / len(rows), 1) for m in METRICS}
    return {"questions": len(rows), **means}
