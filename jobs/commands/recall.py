"""`search` and `eval`: asking a warehouse, and measuring how well it answers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    ConversationOption,
    JsonOption,
    TenantOption,
    WarehouseOption,
)
from jobs.errors import UsageError
from jobs.evaluate import evaluate, render
from jobs.search import SearchSession, search_batch
from operators.recall.fusion import CHANNELS
from operators.recall.searcher import Result

ResultsOption = Annotated[int, typer.Option("-k", min=1, max=1000, help="Results a question.")]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Memory as of this time (RFC 3339): nothing said later."),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help=f"Switch a channel off: {', '.join(CHANNELS)}."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("search")(search)
    app.command("eval")(evaluate_questions)


def search(
    question: Annotated[str | None, typer.Argument(help="The question.")] = None,
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    conversation: ConversationOption = None,
    tenant: TenantOption = None,
    as_of: AsOfOption = None,
    asked_at: Annotated[
        str | None,
        typer.Option("--asked-at", help="When it is asked: what 'last week' is relative to."),
    ] = None,
    k: ResultsOption = 10,
    batch: Annotated[
        Path | None, typer.Option("--batch", help="JSON Lines of questions; implies --json.")
    ] = None,
    without: WithoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Find memories, ranked, each with the messages that support it."""
    until = _time("--as-of", as_of)
    channels = _channels(without)
    with SearchSession.open(warehouse) as session:
        if batch is not None:
            for answer in search_batch(session, batch, k, as_of=until, without=channels):
                print(json.dumps(answer, ensure_ascii=False))
            return
        if not question:
            raise UsageError("give a question, or --batch FILE")
        results = session.search(
            question,
            conversation=conversation,
            tenant=tenant,
            as_of=until,
            asked_at=_time("--asked-at", asked_at),
            k=k,
            without=channels,
        )
    if json_output:
        print(json.dumps([result.as_json() for result in results], ensure_ascii=False))
    else:
        print("\n".join(map(_line, results)) or "nothing found")


def evaluate_questions(
    questions: Annotated[
        Path, typer.Option("--questions", help="JSON Lines with question and evidence.")
    ],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    without: WithoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Retrieval quality: recall@k, all-evidence@10, nDCG@10, by category."""
    with SearchSession.open(warehouse) as session:
        report = evaluate(session, questions, without=_channels(without))
    print(json.dumps(report) if json_output else render(report))


def _line(result: Result) -> str:
    day = result.event_time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    sources = ", ".join(result.source_message_ids)
    return f"{result.rank:>3}. [{day}] {result.text}\n     {result.id}  from {sources}"


def _time(option: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise UsageError(
            f"{option} '{value}' is not a time such as 2025-01-31T09:00:00Z"
        ) from error
    if moment.tzinfo is None:
        raise UsageError(f"{option} '{value}' has no time zone; add Z or an offset")
    return moment


def _channels(without: list[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(without or ()) - set(CHANNELS))
    if unknown:
        raise UsageError(f"no channel '{unknown[0]}'; there are {', '.join(CHANNELS)}")
    return tuple(without or ())
