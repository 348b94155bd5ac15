"""The file a report goes to."""

from pathlib import Path

from jobs.errors import UsageError


def check_target(file: Path) -> None:
    """The report can be written there: asked before a run that may take hours.

    Raises:
        UsageError: it is a folder, or in one that is missing.
    """
    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(f"{file}: name an HTML file in a folder that is there")
