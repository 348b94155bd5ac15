from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.batch.ray_environment import prepare_ray_environment
from transforms.warehouse.connection import Warehouse, open_warehouse

# Before any test module imports Ray, which reads these settings at that moment.
prepare_ray_environment(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


@pytest.fixture
def warehouse(folder: Path) -> Iterator[Warehouse]:
    with open_warehouse(folder, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """One Ray for all builds in this process: starting it costs more than most builds."""
    from jobs.batch.ray_session import ray_session

    with ray_session(None, workers=4):
        yield
