"""The id of a warehouse whose catalog or Parquet is outside its folder: DIR/warehouse.id.

The same id is left beside what it owns outside. So a folder with another warehouse's address,
copied or mistyped, is refused before it sweeps away files which it takes for orphans.
"""

import contextlib
import os
import uuid
from pathlib import Path

from transforms.warehouse.errors import WarehouseError

LOCATION_FILE = "warehouse.yaml"
IDENTITY_FILE = "warehouse.id"
MARKER_FILE = "memoryflow.json"
"""In every warehouse, whole: see `catalog`."""


def identity_of(folder: Path) -> str:
    """The id in the folder; WarehouseError if there is none."""
    file = folder / IDENTITY_FILE
    try:
        found = file.read_text("utf-8").strip()
    except FileNotFoundError:
        found = ""
    if not found:
        raise WarehouseError(
            "the id of the warehouse is missing", file, "Restore the folder from a copy."
        )
    return found


def ensure_identity(folder: Path) -> str:
    """The id in the folder; a new one is written where there is none."""
    file = folder / IDENTITY_FILE
    temporary = folder / f"{IDENTITY_FILE}.{os.getpid()}.tmp"
    if not file.exists():
        temporary.write_text(f"{uuid.uuid4().hex}\n", "utf-8")
        try:
            # Whoever links first decides, and nobody sees half a file.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, file)
        finally:
            temporary.unlink()
    return identity_of(folder)


def require_outside(path: Path) -> None:
    """WarehouseError for a place inside a warehouse, whose upkeep removes what it does not know.

    At any depth; a warehouse is not in itself.
    """
    for folder in path.absolute().parents:
        if (folder / MARKER_FILE).is_file():
            raise WarehouseError(
                f"{path} is inside another warehouse, which would sweep it away",
                folder,
                "Choose a place beside it.",
            )


def in_use(where: str, what: str, folder: Path) -> WarehouseError:
    """The refusal of a place that no warehouse has marked as its own, and that is not empty."""
    return WarehouseError(
        f"{where} is not empty ({what!r}), and no warehouse of memoryflow has made that",
        folder,
        "Name a database and a prefix of its own in warehouse.yaml.",
    )


def foreign(where: str, owner: str, folder: Path) -> WarehouseError:
    """The refusal of a place that belongs to another warehouse."""
    return WarehouseError(
        f"{where} belongs to another warehouse ({owner})",
        folder,
        "Name a database and a prefix of its own in warehouse.yaml. If the folder of that "
        f"warehouse is lost and this one is to replace it, write its id to {IDENTITY_FILE} here.",
    )
