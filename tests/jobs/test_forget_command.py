"""`forget` as typed: what is mistyped is told, and never passes for an erasure."""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from jobs.commands.erase import register
from jobs.errors import UsageError
from jobs.run_record import RunRecord
from pipelines.plan import plan
from tests.jobs.commands_here import invoke
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.errors import WarehouseError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forget") / "warehouse"
    run = RunRecord("run", plan("conversation_memory"), "logs").row("done", {})
    with open_warehouse(path) as warehouse:
        rows = messages("c1", {"m1": "Hello Ana"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)], [upsert("runs", run)])
    return path


def forget(*arguments: object) -> Result:
    return invoke(register, "forget", *arguments)


def test_no_warehouse_is_made(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no such warehouse"):
        forget("-w", tmp_path / "typo", "--message", "m1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--message", "--conversation", "--person"])
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_blank_is_refused(folder: Path, option: str, more: list[str]) -> None:
    with pytest.raises(UsageError, match=f"{option} is blank"):
        forget("-w", folder, option, "", *more)
    with pytest.raises(UsageError, match="--person is blank"):
        forget("-w", folder, "--person", " \t", *more)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--conversation", "nope"], "nothing matches --conversation 'nope';"),
        (["--message", "m9"], "nothing matches --message 'm9';"),
        (["--person", "Zoe", "--dry-run"], "nothing matches --person 'Zoe';"),
        (
            ["--message", "m1", "--conversation", "c9", "--tenant", "t9"],
            "nothing matches --message 'm1' --conversation 'c9' --tenant 't9';",
        ),
    ],
)
def test_what_matches_nothing_is_told(folder: Path, asked: list[str], told: str) -> None:
    done = forget("-w", folder, *asked, "--json")
    assert done.exit_code == 0
    assert told in done.stderr
    assert "memoryflow sql" in done.stderr
    assert json.loads(done.stdout)["messages"] == 0


def test_what_matches_is_not_hinted_at(folder: Path) -> None:
    done = forget("-w", folder, "--conversation", "c1", "--dry-run")
    assert done.stdout.startswith("would erase 1 messages in 1 conversations")
    assert done.stderr == ""


def test_help_says_that_a_conversation_alone_goes_whole() -> None:
    assert "Erase this whole conversation" in forget("--help").stdout
