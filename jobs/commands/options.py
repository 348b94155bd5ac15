"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

PipelineArg = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A YAML file, or the name of a shipped pipeline.")
]
WarehouseOption = Annotated[
    Path,
    typer.Option(
        "--warehouse", "-w", envvar="MEMORYFLOW_WAREHOUSE", help="Folder of the warehouse."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
ConversationOption = Annotated[
    str | None, typer.Option("--conversation", help="Only this conversation.")
]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Parallel workers; default: CPUs.")
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="Ray cluster; default: a local Ray.")
]

DEFAULT_WAREHOUSE = Path("memory")
