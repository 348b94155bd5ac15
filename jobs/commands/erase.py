"""`forget`."""

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    ConversationOption,
    EventsOption,
    JsonOption,
    LogFormatOption,
    TenantOption,
    WarehouseOption,
)
from jobs.errors import UsageError
from jobs.forget import ForgetReport, Target
from jobs.forget import forget as erase
from jobs.observe.logs import use_format
from transforms.warehouse.connection import open_warehouse


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("forget")(forget)


def forget(
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    message: Annotated[
        str | None, typer.Option("--message", help="Id of a message to erase.")
    ] = None,
    conversation: ConversationOption = None,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Erase what this person said and what names them."),
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
    with watched("forget", "erasure", warehouse, events=events) as watch:
        watch.started([])
        with open_warehouse(warehouse, read_only=dry_run) as opened, watch.writing(opened):
            report = erase(opened, target, rebuilder(last_plan(opened)), dry_run=dry_run)
        watch.ended(asdict(report))
    print(json.dumps(asdict(report)) if json_output else _summary(report))


def _target(
    message: str | None, conversation: str | None, person: str | None, tenant: str | None
) -> Target:
    if message is not None and person is not None:
        raise UsageError("give one of --message and --person, not both")
    if message is not None:
        return Target("message", message, conversation, tenant)
    if person is not None:
        return Target("person", person, conversation, tenant)
    if conversation is not None:
        return Target("conversation", conversation, None, tenant)
    raise UsageError("say what to forget: --message ID, --conversation ID or --person NAME")


def _summary(report: ForgetReport) -> str:
    verb = "would erase" if report.dry_run else "erased"
    lines = [
        f"{verb} {report.messages:,} messages in {report.conversations:,} conversations and "
        f"{report.dead_letters:,} dead letters"
    ]
    if report.resumed:
        lines.append("completed the physical erasure of an earlier call")
    lines += [f"  {table}: {rows:,} rows gone or recomputed" for table, rows in report.rows.items()]
    return "\n".join(lines)
