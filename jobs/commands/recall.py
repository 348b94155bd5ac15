"""`search` and `eval`: asking a warehouse, and measuring how well it answers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.access_log import AccessLog
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    ConversationOption,
    JsonOption,
    TenantOption,
    WarehouseOption,
)
from jobs.errors import UsageError
from jobs.evaluate import evaluate, render
from jobs.search import SearchOptions, SearchSession, found_memories, search_batch
from operators.recall.fusion import CHANNELS, OFF_BY_DEFAULT
from operators.recall.searcher import Result, Turn
from operators.recall.tiers import AUTO, TIERS

ResultsOption = Annotated[int, typer.Option("-k", min=1, max=1000, help="Results a question.")]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Memory as of this time (RFC 3339): nothing said later."),
]
# How to search.
TierOption = Annotated[str, typer.Option("--tier", help=f"How deep: {', '.join(TIERS)}.")]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help=f"Switch a channel off: {', '.join(CHANNELS)}."),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help=f"Switch a channel on that is off: {', '.join(sorted(OFF_BY_DEFAULT)) or 'none is'}.",
    ),
]
ArchiveOption = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="SQL",
        help='Leave out facts that this holds for, over memory_heat: "retention < 0.05".',
    ),
]
# What comes back.
ContextOption = Annotated[
    int, typer.Option("--context", min=0, max=100, help="Messages before and after each result.")
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="Cut the results to so many tokens; one stays."),
]

_SHOWN = 8
"""Messages named under a result; --json names all."""


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
    tier: TierOption = AUTO,
    without: WithoutOption = None,
    also: WithOption = None,
    archive: ArchiveOption = None,
    context: ContextOption = 0,
    max_tokens: MaxTokensOption = None,
    no_replay: Annotated[
        bool,
        typer.Option("--no-replay", help="Never ask the raw history, however thin the evidence."),
    ] = False,
    log_access: Annotated[
        bool, typer.Option("--log-access", help="Record what was found; it makes memories warm.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Find memories, ranked, each with the messages that support it."""
    if batch is not None:
        _refuse_beside_batch(question, asked_at)
    until = time_of("--as-of", as_of)
    options = SearchOptions(
        tier=_tier(tier),
        without=_channels(without),
        also=_channels(also),
        archive=archive,
        context=context,
        max_tokens=max_tokens,
        replay=not no_replay,
    )
    log = AccessLog() if log_access else None
    with SearchSession.open(warehouse) as session:
        if batch is not None:
            answers = search_batch(
                session,
                batch,
                k,
                as_of=until,
                options=options,
                log=log,
                conversation=conversation,
                tenant=tenant,
            )
            for answer in answers:
                print(json.dumps(answer, ensure_ascii=False))
        else:
            if not question:
                raise UsageError("give a question, or --batch FILE")
            results = session.search(
                question,
                conversation=conversation,
                tenant=tenant,
                as_of=until,
                asked_at=time_of("--asked-at", asked_at),
                k=k,
                options=options,
            )
            _show(results, as_json=json_output)
            if log is not None:
                log.add(question, found_memories(results))
    # After the answers are out and the reader is closed: it may wait for another writer.
    if log is not None:
        log.write(warehouse)


def evaluate_questions(
    questions: Annotated[
        Path, typer.Option("--questions", help="JSON Lines with question and evidence.")
    ],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    tenant: TenantOption = None,
    tier: TierOption = AUTO,
    without: WithoutOption = None,
    also: WithOption = None,
    json_output: JsonOption = False,
) -> None:
    """Retrieval quality: recall@k, all-evidence@10, nDCG@10, by category."""
    options = SearchOptions(_tier(tier), _channels(without), _channels(also))
    with SearchSession.open(warehouse) as session:
        report = evaluate(session, questions, options=options, tenant=tenant)
    print(json.dumps(report) if json_output else render(report))


def _refuse_beside_batch(question: str | None, asked_at: str | None) -> None:
    """UsageError for what would be ignored: the lines of the file say it."""
    if question is not None:
        raise UsageError("give a question or --batch FILE, not both")
    if asked_at is not None:
        raise UsageError("--asked-at is of one question; with --batch each line has 'asked_at'")


def _show(results: list[Result], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([result.as_json() for result in results], ensure_ascii=False))
    else:
        print("\n".join(map(_lines, results)) or "nothing found")


def _lines(result: Result) -> str:
    sources = shown_messages(result.source_message_ids)
    found = f"{result.rank:>3}. [{_minute(result.event_time)}] {result.text}\n"
    found += f"     {result.id}  from {sources}"
    return "\n".join([found, *map(_turn_line, result.context or ())])


def shown_messages(ids: Sequence[str]) -> str:
    """The first of some message ids, and how many more there are: an episode has hundreds."""
    more = f", and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _turn_line(turn: Turn) -> str:
    return f"       | [{_minute(turn.timestamp)}] {turn.speaker}: {turn.text}"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def time_of(option: str, value: str | None) -> datetime | None:
    """A time as given on the command line; UsageError names the option that is wrong."""
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


def _tier(tier: str) -> str:
    if tier not in TIERS:
        raise UsageError(f"no tier '{tier}'; there are {', '.join(TIERS)}")
    return tier


def _channels(named: list[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(named or ()) - set(CHANNELS))
    if unknown:
        raise UsageError(f"no channel '{unknown[0]}'; there are {', '.join(CHANNELS)}")
    return tuple(named or ())
