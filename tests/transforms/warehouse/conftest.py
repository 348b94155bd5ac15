from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.warehouse.connection import Warehouse, open_warehouse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


@pytest.fixture
def warehouse(folder: Path) -> Iterator[Warehouse]:
    with open_warehouse(folder, threads=1) as opened:
        yield opened
