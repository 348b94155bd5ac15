"""`forget`."""

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    ErasedConversationOption,
    EventsOption,
    JsonOption,
    LogFormatOption,
    TenantOption,
    WarehouseOption,
    as_stored,
)
from jobs.errors import UsageError
from jobs.forget import ForgetReport, Target
from jobs.forget import forget as erase
from jobs.observe.logs import say, use_format
from transforms.warehouse.connection import open_warehouse


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("forget")(forget)


def forget(
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    message: Annotated[
        str | None,
        typer.Option("--message", help="Id of a message to erase.", callback=as_stored),
    ] = None,
    conversation: ErasedConversationOption = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--person", help="Erase what this person said and what names them.", callback=as_stored
        ),
    ] = None,
    tenant: TenantOption = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Erase it from every tenant that has it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    log_format: LogFormatOption = "text",
    events: EventsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Erase messages and everything that rests on them, down to the files."""
    use_format(log_format)
    # Beam and the model: seconds that `--help` need not wait for.
    from jobs.last_plan import last_plan  # noqa: PLC0415
    from jobs.observe.watch import watched  # noqa: PLC0415
    from jobs.rebuild import rebuilder  # noqa: PLC0415

    if tenant is not None and all_tenants:
        raise UsageError("give one of --tenant and --all-tenants, not both")
    target = replace(_target(message, conversation, person, tenant), all_tenants=all_tenants)
    with open_warehouse(warehouse, read_only=True):
        pass  # Never makes one: at a mistyped path nothing would be erased.
    with watched("forget", "erasure", warehouse, events=events) as watch:
        watch.started([])
        with open_warehouse(warehouse, read_only=dry_run) as opened, watch.writing(opened):
            report = erase(opened, target, rebuilder(last_plan(opened)), dry_run=dry_run)
        watch.ended(asdict(report))
    if not (report.messages or report.dead_letters or report.resumed):
        say("forget.nothing", _nothing(target), level="warning")
    print(json.dumps(asdict(report)) if json_output else _summary(report))


def _target(
    message: str | None, conversation: str | None, person: str | None, tenant: str | None
) -> Target:
    # A space is an id that a log may have; it is nobody's name.
    name = None if person is None else person.strip()
    given = {"--message": message, "--conversation": conversation, "--person": name}
    for option, value in given.items():
        if value == "":
            raise UsageError(f"{option} is blank: say what to forget, or leave it out")
    if message is not None and person is not None:
        raise UsageError("give one of --message and --person, not both")
    if message is not None:
        return Target("message", message, conversation, tenant)
    if person is not None:
        return Target("person", person, conversation, tenant)
    if conversation is not None:
        return Target("conversation", conversation, None, tenant)
    raise UsageError("say what to forget: --message ID, --conversation ID or --person NAME")


def _nothing(target: Target) -> str:
    """That nothing was found, and where to look: a mistyped id must not pass for an erasure."""
    narrowed = {"--conversation": target.conversation, "--tenant": target.tenant}
    options = [(f"--{target.kind}", target.value), *narrowed.items()]
    asked = " ".join(f"{name} {value!r}" for name, value in options if value is not None)
    where = " WHERE conversation_id = '...'"
    names, rest = {
        "message": ("tenant, conversation_id, message_id", where),
        "conversation": ("tenant, conversation_id", ""),
        "person": ("tenant, speaker", ""),
    }[target.kind]
    return (
        f"memoryflow: nothing matches {asked}; it may be forgotten already. What there is: "
        f'memoryflow sql "SELECT DISTINCT {names} FROM messages{rest}"'
    )


def _summary(report: ForgetReport) -> str:
    verb = "would erase" if report.dry_run else "erased"
    lines = [
        f"{verb} {report.messages:,} messages in {report.conversations:,} conversations and "
        f"{report.dead_letters:,} dead letters"
    ]
    if report.resumed:
        lines.append("completed the physical erasure of an earlier call")
    if report.leftovers:
        lines.append("removed what a run that was killed had left beside the tables")
    lines += [f"  {table}: {rows:,} rows gone or recomputed" for table, rows in report.rows.items()]
    return "\n".join(lines)
