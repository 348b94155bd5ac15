"""From a warehouse to the report's file."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from jobs.errors import UsageError
from jobs.report.collect import collect
from jobs.report.render import render
from jobs.report.target import check_target
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.errors import WarehouseError


def write_report(warehouse: Path, file: Path, run_id: str | None = None) -> None:
    """Write the report of a run (default: the last) and of the memory as it is now.

    Cost: some aggregating queries over the warehouse, seconds at a million messages. The size
    of the file does not depend on that of the warehouse.

    Raises:
        UsageError: no such run, or the file cannot be written.
        WarehouseError: the warehouse cannot be read.
    """
    check_target(file)
    with open_warehouse(warehouse, read_only=True) as opened:
        try:
            page = render(collect(opened, run_id, datetime.now(UTC)))
        except duckdb.BinderException as error:
            raise WarehouseError(
                f"the tables are not those of this memoryflow ({str(error).splitlines()[0]})",
                warehouse,
                "Build into a new folder; the log is all it takes.",
            ) from error
    try:
        file.write_text(page, "utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
