"""`consolidate`."""

from typing import Annotated

import orjson
import typer

from jobs.batch.ray_environment import prepare_ray_environment
from jobs.commands.load_plan import load_plan
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    AddressOption,
    ConversationOption,
    EventsOption,
    JsonOption,
    LlmKeyOption,
    LlmModelOption,
    LlmUrlOption,
    LogFormatOption,
    MaxCostOption,
    MaxTokensOption,
    WarehouseOption,
    WorkersOption,
)
from jobs.commands.run import llm_summary
from jobs.errors import UsageError
from jobs.observe.logs import use_format


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
    llm_url: LlmUrlOption = None,
    llm_model: LlmModelOption = None,
    llm_key_env: LlmKeyOption = None,
    max_tokens: MaxTokensOption = None,
    max_cost: MaxCostOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    log_format: LogFormatOption = "text",
    events: EventsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Bring what a stream has put off, or another pipeline has built, up to date; no input."""
    use_format(log_format)
    prepare_ray_environment(address)
    # Ray, DuckDB and the models take seconds to import: not for `--help`.
    from jobs.consolidate import ConsolidationReport  # noqa: PLC0415
    from jobs.consolidate import consolidate as bring_up  # noqa: PLC0415
    from jobs.last_plan import last_plan  # noqa: PLC0415
    from jobs.llm_gateways import Limits  # noqa: PLC0415
    from jobs.observe.watch import watched  # noqa: PLC0415
    from transforms.warehouse.connection import open_warehouse  # noqa: PLC0415

    if pipeline is None and (llm_url or llm_model or llm_key_env):
        raise UsageError("--llm-url and the like need a PIPELINE; that of the last run is as it is")
    given = None if pipeline is None else load_plan(pipeline, llm_url, llm_model, llm_key_env)
    with open_warehouse(warehouse, read_only=True) as there:  # Never makes one.
        plan = given or last_plan(there)
    with watched("consolidate", plan.name, warehouse, events=events) as watch:
        watch.started([])
        with open_warehouse(warehouse) as opened, watch.writing(opened):
            report: ConsolidationReport = bring_up(
                opened,
                plan,
                workers=workers,
                conversation=conversation,
                address=address,
                quiet=quiet or json_output,
                limits=Limits(max_tokens, max_cost),
            )
        watch.ended(report.to_json(), report.stopped)
    if json_output:
        print(orjson.dumps(report.to_json()).decode())
    else:
        print(report.to_text())
        for line in llm_summary(report.spent, report.stopped):
            print(line)
