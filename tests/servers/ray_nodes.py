"""A Ray cluster of several nodes on this machine, in a process of its own; nodes can be killed."""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

REPO = Path(__file__).parents[2]
_LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 60.0

# A killed node is noticed in two seconds, not fifteen: its port refuses at once. A node that only
# stalls, as on a busy machine, is given longer to answer than any stall takes.
_SYSTEM = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 20_000,
    "health_check_failure_threshold": 3,
}


@dataclass
class RayNodes:
    """A running cluster; node 0 is the head, where drivers connect.

    Attributes:
        address: for `--address`.
        session: where Ray keeps its logs, and what it spills.
        settings: environment for whoever connects.
    """

    address: str
    session: Path
    settings: Mapping[str, str]
    _process: "subprocess.Popen[str]"
    _raylets: list[int] = field(default_factory=list[int])

    def environment(self) -> dict[str, str]:
        """Ours with the settings by which a driver may join."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return own | dict(self.settings)

    def add(self) -> int:
        """Start one more node; its number."""
        self._raylets.append(_told(self._process, "add"))
        return len(self._raylets) - 1

    @property
    def alive(self) -> list[int]:
        """Numbers of the nodes that have not been killed."""
        return [n for n, pid in enumerate(self._raylets) if psutil.pid_exists(pid)]

    def processes(self, node: int, title: str) -> list[psutil.Process]:
        """Processes on a node whose command line begins so."""
        return [p for p in _tree(self._raylets[node])[1:] if _title(p).startswith(title)]

    def kill(self, node: int) -> None:
        """SIGKILL to everything on a node, the raylet first: nobody says good-bye."""
        tree = _tree(self._raylets[node])
        for process in tree:
            with contextlib.suppress(psutil.Error):
                process.kill()
        # Its parent has to take note of its end, or it stays a zombie for as long as that lives.
        _told(self._process, f"reap {self._raylets[node]}")


@contextmanager
def ray_nodes(
    nodes: int = 3, cpus: int = 2, store_mib: int = 100, **system: int
) -> Generator[RayNodes]:
    """A cluster for the length of a block; only this machine can reach it.

    Args:
        nodes: how many.
        cpus: logical CPUs of each.
        store_mib: object store of each; more is spilled to disk.
        system: further settings of Ray's `_system_config`.
    """
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.servers.ray_nodes", "--cpus", str(cpus)),
            *("--store-mib", str(store_mib), "--system", json.dumps(_SYSTEM | system)),
        ],
        cwd=REPO,
        env=own | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    started: list[psutil.Process] = []
    try:
        session = Path(_told(process, "session"))
        head = [_told(process, "head")]
        cluster = RayNodes(_told(process, "address"), session, settings, process, head)
        for _ in range(nodes - 1):
            cluster.add()
        yield cluster
    finally:
        started += _tree(process.pid)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.communicate(timeout=_STOP_SECONDS)  # The end of its input ends it.
        for left in started:
            with contextlib.suppress(psutil.Error):
                left.kill()
        process.wait(_STOP_SECONDS)


def _told(process: "subprocess.Popen[str]", command: str) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{command}\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)["answer"]
    raise RuntimeError(f"the cluster ended at '{command}'")


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def main(arguments: Sequence[str]) -> None:
    """Hold a cluster and do as standard input says, until it ends."""
    from ray.cluster_utils import Cluster

    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--store-mib", type=int, required=True)
    parser.add_argument("--system", type=json.loads, required=True)
    given = parser.parse_args(arguments)
    node = {
        "num_cpus": given.cpus,
        "object_store_memory": given.store_mib * 1024 * 1024,
        "node_ip_address": _LOOPBACK,
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**node, "_system_config": given.system})
    for line in sys.stdin:
        match line.split():
            case ["address"]:
                answer: Any = cluster.address
            case ["session"]:
                answer = cluster.head_node.get_session_dir_path()
            case ["head"]:
                answer = _raylet(cluster.head_node)
            case ["add"]:
                answer = _raylet(cluster.add_node(**node))
            case ["reap", pid]:
                answer = _reap(int(pid))
            case _:
                raise ValueError(line)
        print(json.dumps({"answer": answer}), flush=True)
    cluster.shutdown()


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def _reap(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
