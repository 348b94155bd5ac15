"""Which files a live path spec stands for, now."""

import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.sources.errors import InputError

# logrotate: x.jsonl.1, x.jsonl-20250101; Python's handlers: x.jsonl.2025-01-01_12.
_ROTATED = r"[.-]\d[\dT:Z_.+-]*"
_LOG_NAME = re.compile(rf".+\.(?:jsonl|ndjson)(?:{_ROTATED})?")
_ROTATED_NAME = re.compile(rf".+\.[^.]*[^\d.][^.]*{_ROTATED}")
_COMPRESSED = (".gz", ".zst", ".zip", ".bz2", ".xz", ".lz4")
_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")


@dataclass(frozen=True)
class FoundFile:
    """A file that is there, and its state."""

    path: str
    stat: os.stat_result

    @property
    def rotated(self) -> bool:
        """Its name says that its log is written elsewhere now."""
        return _ROTATED_NAME.fullmatch(Path(self.path).name) is not None


class FileSpec:
    """A file, a folder or a glob; nothing need be there yet.

    A file stands for its log: rotated parts beside it (`x.jsonl.1`, `x.jsonl-20250101`)
    belong to it, and so with a glob. In a folder, `*.jsonl` and `*.ndjson` count, at any
    depth, and their rotated parts. Hidden and compressed files do not.

    Raises:
        InputError: the spec names a compressed file, or something that is no file.
    """

    def __init__(self, spec: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(spec))  # noqa: PTH100, PTH111  a glob is no Path
        if self.path.endswith(_COMPRESSED):
            raise _compressed(self.path)
        path = Path(self.path)
        if path.exists() and not path.is_dir():
            _check_plain(path)

    def find(self) -> Iterator[FoundFile]:
        """Regular files that belong to the spec, in no order; links and twins may repeat."""
        if Path(self.path).is_dir():
            yield from _walk(self.path)
            return
        if Path(self.path).exists() or not glob.has_magic(self.path):
            patterns = [self.path, glob.escape(self.path) + "[.-][0-9]*"]
        else:
            patterns = [self.path, self.path + "[.-][0-9]*"]
        rotations = re.compile(rf".+{_ROTATED}")
        for number, pattern in enumerate(patterns):
            named = number == 0
            for path in _expand(pattern):
                if path.endswith(_COMPRESSED) or not (named or rotations.fullmatch(path)):
                    continue
                found = _found(path)
                if found is not None:
                    yield found


def _expand(pattern: str) -> Iterator[str]:
    if Path(pattern).exists():
        yield pattern
    else:
        yield from glob.iglob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern


def _walk(folder: str) -> Iterator[FoundFile]:
    """Logs below `folder`; what disappears or cannot be listed meanwhile is left out."""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif _LOG_NAME.fullmatch(entry.name):
                        found = _found(entry.path)
                        if found is not None:
                            yield found
        except OSError:
            continue


def _found(path: str) -> FoundFile | None:
    try:
        state = os.stat(path)  # noqa: PTH116  called for every file at every scan
    except OSError:
        return None
    return FoundFile(path, state) if stat.S_ISREG(state.st_mode) else None


def _check_plain(path: Path) -> None:
    if not path.is_file():
        fix = "Name a file, a folder or a glob; pipes are read by `run`, as -."
        raise InputError("no regular file", str(path), fix)
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError:
        return  # Said once it is read; the permissions may be mended until then.
    if head.startswith(_MAGIC):
        raise _compressed(str(path))


def _compressed(path: str) -> InputError:
    fix = "A compressed file does not grow line by line: read it with `run`."
    return InputError("compressed files cannot be followed", path, fix)
