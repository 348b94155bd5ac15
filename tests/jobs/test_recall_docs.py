"""The commands of docs/recall.md run as they stand, and no channel or column is left out of it."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jobs.commands import query, recall
from operators.recall.fusion import CHANNELS
from operators.recall.tiers import TIERS
from tests.jobs.processes import REPO
from tests.jobs.search_samples import search_warehouse
from transforms.warehouse.connection import open_warehouse

PAGE = (REPO / "docs" / "recall.md").read_text("utf-8")
COMMANDS = re.findall(r"^memoryflow (.+)$", PAGE, re.MULTILINE)
ELSEWHERE = {"tenant", "conversation_id", "fact_id", "text", "status", "event_time"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("docs") / "warehouse")


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMORYFLOW_WAREHOUSE", str(folder))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(REPO / "samples")
    app = typer.Typer()
    for module in (recall, query):
        module.register(app)
    done = CliRunner().invoke(app, shlex.split(command, comments=True))
    assert done.exit_code == 0, done.exception


def test_all_of_it_is_described(folder: Path) -> None:
    described = set(re.findall(r"`(\w+)`", PAGE))
    with open_warehouse(folder, read_only=True) as opened:
        columns = {row[0] for row in opened.rows("DESCRIBE FROM memory_heat(now())")}
    assert not {*CHANNELS, *TIERS, *columns} - described - ELSEWHERE - {"importance"}
