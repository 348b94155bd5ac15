"""Ids that hold a word of DuckLake's are stored with a mark in it; commands take them as logged."""

import json
from pathlib import Path

import pytest

from jobs.commands import erase, query
from jobs.run_record import RunRecord
from pipelines.plan import plan
from tests.jobs.commands_here import printed
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import open_warehouse

MESSAGE, CONVERSATION = "m{FILE_NAME}", "c{SNAPSHOT_ID}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typed") / "warehouse"
    run = RunRecord("run", plan("conversation_memory"), "logs").row("done", {})
    with open_warehouse(path) as warehouse:
        rows = messages(CONVERSATION, {MESSAGE: "Hello Ana", "other": "Hello Ben"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)], [upsert("runs", run)])
    return path


def test_why(folder: Path) -> None:
    options = ("-w", folder, "--conversation", CONVERSATION, "--json")
    (found,) = json.loads(printed(query.register, "why", MESSAGE, *options))
    assert "Hello Ana" in json.dumps(found)


@pytest.mark.parametrize(
    ("asked", "count"), [(["--conversation", CONVERSATION], 2), (["--message", MESSAGE], 1)]
)
def test_forget(folder: Path, asked: list[str], count: int) -> None:
    found = printed(erase.register, "forget", "-w", folder, *asked, "--dry-run", "--json")
    assert json.loads(found)["messages"] == count
