"""Free ports of the loopback address."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """Distinct ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as probes:
        found: list[int] = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found
