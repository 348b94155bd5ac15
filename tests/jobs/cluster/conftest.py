"""Three nodes on this machine, one model endpoint, and what a local run makes of the same log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.effort import LONGER
from tests.jobs.builds import SHIPPED, sample_lines, write_log
from tests.jobs.processes import cli
from tests.servers.llm_simulator import RunningSimulator, running_simulator
from tests.servers.ray_nodes import RayNodes, ray_nodes

NODES = 3
IN_FLIGHT = 64


@dataclass(frozen=True)
class Work:
    """A log, the pipeline with a language model in many slices, and a local run of it.

    Attributes:
        folder: holds all of it.
        endpoint: the model.
        whole: warehouse of the local run.
        calls: that it made.
    """

    folder: Path
    endpoint: RunningSimulator
    whole: Path
    calls: int

    def arguments(self, warehouse: Path, *more: object) -> list[object]:
        """Of `memoryflow`."""
        llm = ["--llm-url", self.endpoint.url, "--llm-model", "simulated"]
        log = ["--input", self.folder / "log.jsonl", "-w", warehouse]
        return ["run", self.folder / "p.yaml", *log, *llm, "--workers", NODES, *more]


@pytest.fixture(scope="package")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes(NODES) as cluster:
        yield cluster


@pytest.fixture
def cluster(nodes: RayNodes) -> RayNodes:
    """Three nodes, whatever the test before has killed."""
    while len(nodes.alive) < NODES:
        nodes.add()
    return nodes


@pytest.fixture(scope="package")
def endpoint() -> Iterator[RunningSimulator]:
    with running_simulator(latency_ms=20, concurrency=IN_FLIGHT) as simulator:
        yield simulator


@pytest.fixture(scope="package")
def work(endpoint: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("cluster")
    write_log(folder / "log.jsonl", sample_lines(40 * LONGER, 4))
    shipped = SHIPPED.with_name("conversation_memory_llm.yaml").read_text()
    assert shipped.count("slice_chars: 500000") == 1
    (folder / "p.yaml").write_text(shipped.replace("slice_chars: 500000", "slice_chars: 1000"))
    begun = Work(folder, endpoint, folder / "whole", 0)
    endpoint.reset()
    done = cli(*begun.arguments(begun.whole))
    assert done.code == 0, done.stderr
    calls = endpoint.reset()["calls"]
    assert calls > 60
    return Work(folder, endpoint, begun.whole, calls)
