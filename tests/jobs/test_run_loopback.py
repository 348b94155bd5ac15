"""A local run is reachable from this machine only."""

import contextlib
import ipaddress
import time
from pathlib import Path

import psutil
import pytest

from tests.jobs.builds import sample_lines, write_log
from tests.jobs.processes import running

pytestmark = pytest.mark.slow


def test_a_run_listens_on_loopback_only(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", sample_lines())
    command = ["run", "conversation_memory", "--input", log, "-w", tmp_path / "w", "--workers", 1]
    seen: dict[str, set[str]] = {}

    with running(*command) as run:
        while not run.ended:
            for process in run.tree():
                with contextlib.suppress(psutil.Error):
                    seen.setdefault(process.name(), set()).update(listening(process))
            time.sleep(0.2)
        done = run.finish()

    assert done.code == 0, done.stderr
    # The processes of Ray were looked at while they served, not after.
    assert seen["gcs_server"]
    assert seen["raylet"]
    outside = {
        name: addresses
        for name, found in seen.items()
        if (addresses := {address for address in found if not is_loopback(address)})
    }
    assert outside == {}


def is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def listening(process: psutil.Process) -> set[str]:
    """Addresses that others can connect to or send to."""
    return {
        connection.laddr.ip
        for connection in process.net_connections(kind="inet")
        if connection.laddr and not connection.raddr
        if connection.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}
    }
