"""Free ports of the loopback address, for servers that cannot choose one themselves."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import TextIO

# Below what the kernel hands to outgoing connections (from 32,768 on): none of the many that
# tests open takes a port between the look and the bind, or while a server restarts on it.
_PORTS = range(20_000, 32_000)
# Not the global generator: Hypothesis gives that one the same seed in every process.
_CHANCE = random.SystemRandom()
_held: list[TextIO] = []


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nobody listens; no other test process is given them meanwhile."""
    folder = Path(tempfile.gettempdir()) / f"memoryflow-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    found: list[int] = []
    for port in _CHANCE.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            return found
        if _reserved(folder / str(port)) and _unused(port):
            found.append(port)
    raise RuntimeError(f"no {count} free ports of {_PORTS}")


def _reserved(file: Path) -> bool:
    """Whether the port is this process's from now on, until it ends; twice is once too often."""
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _held.append(lock)
    return True


def _unused(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
