"""`consolidate`."""

from typing import Annotated

import orjson
import typer

from jobs.batch.ray_environment import prepare_ray_environment
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    AddressOption,
    ConversationOption,
    JsonOption,
    WarehouseOption,
    WorkersOption,
)
from jobs.worker_count import worker_count


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("consolidate")(consolidate)


def consolidate(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="[PIPELINE]",
            help="A YAML file, or the name of a shipped pipeline; default: that of the last run.",
        ),
    ] = None,
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    conversation: ConversationOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Bring what a stream has put off, or another pipeline has built, up to date; no input."""
    prepare_ray_environment(address)
    # Ray, DuckDB and the models take seconds to import: not for `--help`.
    from jobs.consolidate import ConsolidationReport  # noqa: PLC0415
    from jobs.consolidate import consolidate as bring_up  # noqa: PLC0415
    from jobs.rebuild import last_plan  # noqa: PLC0415
    from pipelines.plan import plan as load_plan  # noqa: PLC0415
    from transforms.warehouse.connection import open_warehouse  # noqa: PLC0415

    given = None if pipeline is None else load_plan(pipeline)
    with open_warehouse(warehouse, read_only=True) as there:  # Never makes one.
        plan = given or last_plan(there)
    with open_warehouse(warehouse) as opened:
        report: ConsolidationReport = bring_up(
            opened,
            plan,
            workers=worker_count(plan, workers),
            conversation=conversation,
            address=address,
            quiet=quiet or json_output,
        )
    if json_output:
        print(orjson.dumps(report.to_json()).decode())
    else:
        print(report.to_text())
