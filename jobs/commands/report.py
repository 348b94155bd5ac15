"""`report`."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import DEFAULT_WAREHOUSE, WarehouseOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    run: Annotated[
        str | None, typer.Option("--run", help="Id of the run to tell of; default: the last.")
    ] = None,
) -> None:
    """One HTML file about a run and the memory it left; opens without a network."""
    from jobs.report.write import write_report  # noqa: PLC0415 - not for `--help`

    write_report(warehouse, out, run)
    print(f"{out}: {out.stat().st_size / 1024:,.0f} KiB")
