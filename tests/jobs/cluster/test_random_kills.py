"""The long form: whatever dies, whenever, however often: the same memory in the end.

    MEMORYFLOW_EXAMPLES=10 pytest tests/jobs/cluster/test_random_kills.py

Each multiple is one more run, and one more log of each sample. Seeded by the run's number.
"""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.effort import LONGER
from tests.jobs.builds import digest_at
from tests.jobs.cluster.conftest import IN_FLIGHT, NODES, Work
from tests.jobs.cluster.runs import EmbeddingsCounted, submitted
from tests.jobs.cluster.test_faults import check_files
from tests.jobs.processes import Running
from tests.servers.ray_nodes import RayNodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LONGER == 1, reason="long: set MEMORYFLOW_EXAMPLES"),
]

KILLS = 6
PAUSE_SECONDS = 5.0


@pytest.mark.parametrize("seed", range(LONGER - 1))
def test_random_kills(nodes: RayNodes, work: Work, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    warehouse = tmp_path / "w"
    arguments = work.arguments(
        warehouse, "--stage-mib", chance.choice([0, 8]), "--commit-mib", chance.choice([0.01, 64])
    )
    kills: list[str] = []
    work.endpoint.reset()
    with EmbeddingsCounted(warehouse, tmp_path / "kept") as embedded:
        while True:
            while len(nodes.alive) < NODES:
                nodes.add()
            with submitted(nodes, *arguments) as run:
                run.wait_for_line("engine ready|nothing to do")
                while not run.ended:
                    time.sleep(chance.uniform(0, PAUSE_SECONDS))
                    if len(kills) < KILLS and not run.ended:
                        kills.append(kill_something(nodes, run, chance))
                done = run.finish()
            if done.code != -signal.SIGKILL:
                break
        assert done.code == 0, (kills, done.stderr)
        print(f"seed {seed}: {kills}")
        assert digest_at(warehouse) == digest_at(work.whole), kills
        gone = 1 + sum(kill in {"gateway", "driver"} for kill in kills)
        assert work.endpoint.stats()["repeated_calls"] <= gone * IN_FLIGHT, kills
        assert embedded.twice() == 0, kills
    check_files(warehouse)


def kill_something(nodes: RayNodes, run: Running, chance: random.Random) -> str:
    """Kill a node, an actor or the driver; says what."""
    actors = {"worker": "ray::SliceWorker", "embedder": "ray::Embedder", "gateway": "ray::Gateway"}
    choices: dict[str, Callable[[], object]] = {
        "driver": run.kill,
        "node": lambda: _kill_node(nodes, chance),
        **{name: lambda t=title: _kill_actor(nodes, t, chance) for name, title in actors.items()},
    }
    what = chance.choice(sorted(choices))
    choices[what]()
    return what


def _kill_node(nodes: RayNodes, chance: random.Random) -> None:
    if others := [node for node in nodes.alive if node != 0]:
        nodes.kill(chance.choice(others))


def _kill_actor(nodes: RayNodes, title: str, chance: random.Random) -> None:
    found: list[psutil.Process] = [p for n in nodes.alive for p in nodes.processes(n, title)]
    if found:
        with contextlib.suppress(psutil.Error):
            chance.choice(found).kill()
