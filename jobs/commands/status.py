"""`status`."""

from datetime import UTC, datetime

import typer

from jobs.commands.options import DEFAULT_WAREHOUSE, JsonOption, WarehouseOption
from jobs.status import status as status_of
from jobs.status import status_json
from jobs.status_text import render_status
from transforms.warehouse.connection import open_warehouse


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(warehouse: WarehouseOption = DEFAULT_WAREHOUSE, json_output: JsonOption = False) -> None:
    """How the warehouse and its stream are doing: lag, freshness, dead letters, positions."""
    with open_warehouse(warehouse, read_only=True) as opened:
        found = status_of(opened, datetime.now(UTC))
    print(status_json(found) if json_output else render_status(found))
