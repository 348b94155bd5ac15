"""Disk, memory, CPU, limits and clock of this machine."""

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from jobs.doctor.finding import Finding, Scope

_GIB = 2**30
_LOW_DISK = 5 * _GIB
_NO_DISK = _GIB // 2
_LOW_MEMORY = 4 * _GIB
_RAY_FULL = 0.95
_FEW_FILES = 4096
_CPU_INFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def disk(scope: Scope) -> Iterator[Finding]:
    """Room where the warehouse is or would be."""
    folder = _existing((scope.warehouse or Path.cwd()).expanduser().resolve())
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:,.1f} GiB free at {folder}"
    if free < _NO_DISK:
        yield Finding("disk", "fail", detail, "Make room, or put the warehouse elsewhere.")
    elif free < _LOW_DISK:
        yield Finding("disk", "warn", detail, "A warehouse takes some KiB for each message.")
    else:
        yield Finding("disk", "ok", detail)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def temporary_folder(scope: Scope) -> Iterator[Finding]:
    """Temporary files can be written: Ray keeps its sessions and spilled objects there."""
    del scope
    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.NamedTemporaryFile(prefix="memoryflow-doctor-") as file:
            file.write(b"x")
    except OSError as error:
        yield Finding(
            "temporary files",
            "fail",
            f"{folder}: {error.strerror}",
            "Set TMPDIR to another folder.",
        )
        return
    usage = shutil.disk_usage(folder)
    detail = f"{folder}, {usage.free / _GIB:,.1f} GiB free"
    if usage.used / usage.total > _RAY_FULL:
        yield Finding(
            "temporary files",
            "warn",
            f"{detail}: over {_RAY_FULL:.0%} full, where Ray stops making objects",
            "Make room, or set RAY_TMPDIR to another disk.",
        )
    else:
        yield Finding("temporary files", "ok", detail)


def memory(scope: Scope) -> Iterator[Finding]:
    """What is available, and the limit of a container."""
    del scope
    found = psutil.virtual_memory()
    limit = _container_limit()
    total = min(found.total, limit) if limit else found.total
    detail = f"{found.available / _GIB:,.1f} GiB available of {total / _GIB:,.1f} GiB"
    if min(found.available, total) < _LOW_MEMORY:
        fix = "A worker with its embedder takes about 1 GiB: fewer with --workers."
        yield Finding("memory", "warn", detail, fix)
    else:
        yield Finding("memory", "ok", detail)


def _container_limit() -> int | None:
    try:
        text = _CGROUP.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def cpu(scope: Scope) -> Iterator[Finding]:
    """Cores, and the instructions that int8 models are fast with."""
    del scope
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _cpu_flags()
    if flags is None:
        yield Finding("cpu", "ok", f"{cores} cores; its flags cannot be read here")
        return
    fast = [name for name in ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp") if name in flags]
    if fast:
        yield Finding("cpu", "ok", f"{cores} cores, {', '.join(fast)}")
        return
    yield Finding(
        "cpu",
        "warn",
        f"{cores} cores without AVX512-VNNI: embedding is slower, and vectors may differ in their "
        "last digits from those of machines that have it",
        "Use one kind of CPU for all nodes of a cluster that write one warehouse.",
    )


def _cpu_flags() -> frozenset[str] | None:
    try:
        lines = _CPU_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    named = [line for line in lines if line.startswith(("flags", "Features"))]
    return frozenset(named[0].partition(":")[2].split()) if named else None


def open_files(scope: Scope) -> Iterator[Finding]:
    """Ray's processes hold thousands of files."""
    del scope
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        told = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        yield Finding(
            "open files",
            "warn",
            f"at most {soft:,} (hard limit {told})",
            "ulimit -n 65536 before large runs.",
        )
    else:
        yield Finding("open files", "ok", f"at most {soft:,}" if soft > 0 else "unlimited")


def clock(scope: Scope) -> Iterator[Finding]:
    """Wall clock: no memory depends on it, but run times and `forget` records do."""
    del scope
    now = datetime.now(UTC)
    detail = f"{now:%Y-%m-%d %H:%M:%S} UTC, zone {'/'.join(time.tzname)}; memory is in UTC"
    if now.year < 2025:
        yield Finding("clock", "warn", detail, "Set the clock.")
    else:
        yield Finding("clock", "ok", detail)
