from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import ray

from jobs.batch import crew


def room(*addresses: str) -> str:
    """What is told of alive nodes there, and one that is gone."""
    nodes: list[dict[str, Any]] = [{"Alive": True, "NodeManagerAddress": a} for a in addresses]
    nodes.append({"Alive": False, "NodeManagerAddress": "10.0.0.9"})
    played = SimpleNamespace(
        cluster_resources=lambda: {"CPU": 2.0},
        available_resources=lambda: {"CPU": 0.16},
        nodes=lambda: nodes,
    )
    with patch.object(crew, "ray", played):
        return crew._room()


def test_what_a_cluster_has_is_told() -> None:
    assert room("10.0.0.1").startswith("1 node with 2 CPUs, 0.16 of them free. Other jobs may")
    assert room("10.0.0.1", "10.0.0.2").startswith("2 nodes with 2 CPUs")


def test_of_a_local_ray_no_cluster_is_told() -> None:
    told = room("127.0.0.1")
    assert told.startswith("the processes start on this machine (2 CPUs for Ray)")
    assert "cluster" not in told


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_local_ray_is_known_by_its_address() -> None:
    assert ray.is_initialized()
    assert "on this machine" in crew._room()
