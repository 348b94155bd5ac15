"""Errors of the warehouse: what is wrong, where, and how to mend it."""

from pathlib import Path


class WarehouseError(Exception):
    """A warehouse that cannot be used as asked; `what`, `where` and `fix` are for the user."""

    def __init__(self, what: str, where: Path | str, fix: str) -> None:
        super().__init__(f"{what} ({where}). {fix}")
        self.what = what
        self.where = str(where)
        self.fix = fix
