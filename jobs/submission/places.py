"""Input and warehouse as the cluster will see them."""

import glob
import os
from pathlib import Path

import psutil

from jobs.errors import UsageError

# Parts of the names of file systems that several machines can share.
_SHARED = ("nfs", "cifs", "smb", "fuse", "ceph", "lustre", "gpfs", "beegfs", "gluster", "9p")


def absolute_place(text: str, option: str) -> str:
    """The path from the root: a job works in a folder of its own.

    Raises:
        UsageError: it is standard input, or a URL.
    """
    if text == "-":
        raise UsageError(f"{option} -: standard input does not reach a cluster; give a file")
    if "://" in text:
        raise UsageError(
            f"{option} {text} is a URL; give a path that all nodes share. (A warehouse in object "
            "storage has a folder, too: see docs/cluster.md)"
        )
    # `a/../b` is another name for b, and another name would be another job, unless a is a link.
    plain = os.path.abspath(text)  # noqa: PTH100 - pathlib keeps the dots
    same = Path(plain).resolve() == Path(text).resolve()
    return plain if same else str(Path(text).absolute())


def on_local_disk(text: str) -> bool:
    """Whether the path (or glob) is here and lies on a disk of this machine.

    A path that is not here may well be there: nothing is known about it.
    """
    there = Path(text) if not glob.has_magic(text) else _fixed_part(text)
    if not there.exists():
        return False
    path = there.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    kind = next((mounts[p] for p in (path, *path.parents) if p in mounts), "")
    return not any(name in kind for name in _SHARED)


def _fixed_part(pattern: str) -> Path:
    path = Path(pattern)
    return next(p for p in path.parents if not glob.has_magic(str(p)))
