"""`replay`: answers from the raw history, through compressed KV caches."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from jobs.batch.ray_environment import prepare_ray_environment
from jobs.commands.load_plan import load_plan
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    AddressOption,
    ConversationOption,
    JsonOption,
    TenantOption,
    WarehouseOption,
)
from jobs.commands.recall import shown_messages, time_of
from jobs.errors import UsageError
from jobs.observe.logs import say
from operators.replay.spec import ReplaySpec
from transforms.warehouse.connection import Warehouse, open_warehouse

if TYPE_CHECKING:
    from jobs.replay.answer import ReplayQuestion
    from jobs.replay.session import Built, Replayed

EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Who answers: auto, vllm or transformers.")
]
ScorerOption = Annotated[
    str | None, typer.Option("--scorer", help="How tokens are scored: patch_prompt, keydiff, ...")
]
RatioOption = Annotated[float | None, typer.Option("--ratio", help="Tokens per kept token.")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="Stored as float32, bfloat16 or int8.")
]
ActorsOption = Annotated[
    int | None, typer.Option("--actors", help="Work in so many Ray actors; 0: in this process.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    question: Annotated[str | None, typer.Argument(help="The question.")] = None,
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    conversation: ConversationOption = None,
    tenant: TenantOption = None,
    asked_at: Annotated[
        str | None, typer.Option("--asked-at", help="When it is asked, as told to the model.")
    ] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", help="JSON Lines of questions; implies --json.")
    ] = None,
    build_only: Annotated[
        bool, typer.Option("--build-only", help="Make caches; of all conversations by default.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make all caches again.")] = False,
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", help="Take `replay:` from it; default: that of the last run."),
    ] = None,
    engine: EngineOption = None,
    scorer: ScorerOption = None,
    ratio: RatioOption = None,
    precision: PrecisionOption = None,
    actors: ActorsOption = None,
    address: AddressOption = None,
    as_of: Annotated[str | None, typer.Option("--as-of", hidden=True)] = None,
    json_output: JsonOption = False,
) -> None:
    """Answer from the raw history, through compressed KV caches; those that are missing are made.

    With no question (--build-only, --rebuild) caches are made and nothing is asked.
    """
    _check_use(question, conversation, batch, as_of, build_only=build_only, rebuild=rebuild)
    time = time_of("--asked-at", asked_at)
    overrides = {
        "engine": engine,
        "scorer": scorer,
        "ratio": ratio,
        "precision": precision,
        "actors": actors,
    }
    # torch, transformers and Ray take seconds to import: after all that can be wrong above.
    from jobs.replay.answer import ReplayQuestion, answer, wanted_conversations  # noqa: PLC0415
    from jobs.replay.engines import check_installed  # noqa: PLC0415
    from jobs.replay.session import ReplaySession, bring_up, compressor_of  # noqa: PLC0415
    from jobs.search import SearchSession  # noqa: PLC0415

    with open_warehouse(warehouse, read_only=True) as there:  # Never makes one.
        spec = _spec(there, pipeline, overrides)
        asked: list[ReplayQuestion] = []
        if batch is not None:
            asked = _batch(there, batch, conversation, tenant)
            if not asked:
                return
        elif question is not None:
            whose = _one(there, conversation, tenant)
            asked = [ReplayQuestion(question, whose, time)]
        conversations = sorted({one.conversation for one in asked}) or wanted_conversations(
            there, conversation, tenant
        )
    check_installed(spec)
    with ExitStack() as stack:
        if spec.actors:
            prepare_ray_environment(address)
            from jobs.batch.ray_session import ray_session  # noqa: PLC0415

            stack.enter_context(ray_session(address, spec.actors))
        compressor = compressor_of(spec)
        built = bring_up(
            warehouse, conversations, spec, compressor, rebuild=rebuild, tidy=not asked, note=_note
        )
        if not asked:
            _show_built(built, as_json=json_output)
            return
        search = stack.enter_context(SearchSession.open(warehouse))
        session = ReplaySession(search.warehouse, spec, compressor)
        answers = answer(stack.enter_context(session), search, asked)
    _show(answers, as_json=json_output or batch is not None)


def _check_use(
    question: str | None,
    conversation: str | None,
    batch: Path | None,
    as_of: str | None,
    *,
    build_only: bool,
    rebuild: bool,
) -> None:
    if as_of is not None:
        raise UsageError(
            "--as-of: a cache holds its episode to the last message, so an answer may rest on "
            "what was said later; `memoryflow search --as-of` leaves that out"
        )
    if question is not None and batch is not None:
        raise UsageError("give a question or --batch FILE, not both")
    asks = question is not None or batch is not None
    if build_only and asks:
        raise UsageError("--build-only asks nothing: give no question and no --batch")
    if not (asks or build_only or rebuild):
        raise UsageError("give a question, or --batch FILE, or --build-only")
    if question is not None and conversation is None:
        raise UsageError("whose history is to answer? Give --conversation ID")


def _spec(
    warehouse: Warehouse, pipeline: str | None, overrides: Mapping[str, object]
) -> ReplaySpec:
    """The `replay:` section, with what the command line says otherwise."""
    from jobs.replay.recorded_spec import recorded_spec  # noqa: PLC0415

    base = load_plan(pipeline).replay if pipeline else recorded_spec(warehouse)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return ReplaySpec.model_validate(base.model_dump() | given)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise UsageError(f"--{found['loc'][0]} {found['input']}: {found['msg']}") from error


def _one(warehouse: Warehouse, conversation: str | None, tenant: str | None) -> tuple[str, str]:
    from jobs.replay.answer import one_conversation  # noqa: PLC0415

    return one_conversation(warehouse, conversation or "", tenant)


def _batch(
    warehouse: Warehouse, path: Path, conversation: str | None, tenant: str | None
) -> "list[ReplayQuestion]":
    from jobs.replay.answer import batch_questions  # noqa: PLC0415
    from jobs.search import read_questions  # noqa: PLC0415

    return batch_questions(warehouse, path, read_questions(path), conversation, tenant)


def _show(answers: "Sequence[Replayed]", *, as_json: bool) -> None:
    for one in answers:
        if as_json:
            print(json.dumps(one.as_json(), ensure_ascii=False))
        else:
            print(_text(one))


def _text(one: "Replayed") -> str:
    cache, sources = one.route.cache, one.route.source_message_ids
    return "\n".join(
        [
            one.answer or "(no answer)",
            f"  episode {cache.episode_id}, chosen by {one.route.by}: {len(sources):,} messages: "
            f"{shown_messages(sources)}",
            f"  {cache.token_count:,} tokens kept as {cache.budget:,} ({cache.scorer}); "
            f"first token after {one.first_token_ms:,.0f} ms ({one.engine})",
        ]
    )


def _show_built(built: "Sequence[Built]", *, as_json: bool) -> None:
    for one in built:
        row = one.as_json()
        if as_json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            print(
                f"{row['conversation_id']}: {row['episodes']} episodes, {row['made']} made; "
                f"{row['source_tokens']:,} tokens kept as {row['kept_tokens']:,}, "
                f"{row['bytes'] / 2**20:.1f} MiB"
            )


def _note(line: str) -> None:
    say("replay", f"memoryflow: {line}")
