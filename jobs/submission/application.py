"""The job's working directory: memoryflow's own packages, and nothing else of this machine."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.submission.request import SUBMITTED

PACKAGES = ("schemas", "operators", "transforms", "pipelines", "jobs")
_ROOT = Path(__file__).parents[2]
# What packages consist of; a file of another kind, left there by chance, stays here.
_SUFFIXES = frozenset(
    {".py", ".json", ".md", ".txt", ".yaml", ".css", ".html", ".jinja", ".js", ".svg"}
)


def application_files(root: Path | None = None) -> Iterator[Path]:
    """Files of memoryflow, relative to `root` (where memoryflow is), sorted in each folder."""
    root = root or _ROOT
    for package in PACKAGES:
        for folder, folders, names in os.walk(root / package):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            inside = Path(folder).relative_to(root)
            for name in sorted(names):
                if not name.startswith(".") and Path(name).suffix in _SUFFIXES:
                    yield inside / name


@contextmanager
def staged_application(pipeline: Path | None, root: Path | None = None) -> Generator[Path]:
    """A folder with copies of memoryflow's files and, if given, a user's pipeline file.

    Equal files give an equal folder, which Ray recognises by its content and sends once.
    """
    root = root or _ROOT
    with tempfile.TemporaryDirectory(prefix="memoryflow-submit-") as folder:
        staged = Path(folder)
        made: set[Path] = set()
        for relative in application_files(root):
            if relative.parent not in made:
                (staged / relative.parent).mkdir(parents=True, exist_ok=True)
                made.add(relative.parent)
            shutil.copyfile(root / relative, staged / relative)
        if pipeline is not None:
            (staged / SUBMITTED).mkdir()
            shutil.copyfile(pipeline, staged / SUBMITTED / pipeline.name)
        yield staged
