"""The submission id, and the command of a job."""

import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer.main

from jobs.commands import run as run_command
from jobs.commands import submit as submit_command
from jobs.submission.application import PACKAGES, application_files, staged_application
from jobs.submission.request import RunOptions, RunRequest
from pipelines.plan import plan
from tests.jobs.builds import pipeline_copy
from tests.jobs.processes import REPO

SHIPPED = "conversation_memory"


PLANS = {name: plan(name) for name in (SHIPPED, "conversation_memory_llm")}


def request(pipeline: str = SHIPPED, **more: object) -> RunRequest:
    options = {"input": "/shared/logs", "warehouse": "/shared/memory"} | more
    planned = PLANS.get(pipeline) or plan(pipeline)
    return RunRequest(pipeline, planned, **options)  # pyright: ignore


def test_the_id_is_the_same_every_time() -> None:
    assert request().submission_id == request().submission_id
    assert request().submission_id.startswith("memoryflow-")


@pytest.mark.parametrize(
    "other",
    [
        {"input": "/shared/other"},
        {"warehouse": "/shared/other"},
        {"options": RunOptions(deciding=("--format", "sharegpt"))},
        {"options": RunOptions(deciding=("--max-bad", "3"))},
        {"pipeline": "conversation_memory_llm"},
    ],
    ids=str,
)
def test_the_id_changes_with_what_decides_the_result(other: dict[str, object]) -> None:
    assert request(**other).submission_id != request().submission_id  # pyright: ignore


def test_the_id_does_not_change_with_how_it_is_computed() -> None:
    options = RunOptions(other=("--workers", "7", "--quiet"))

    assert request(options=options).submission_id == request().submission_id


def test_an_id_cannot_be_made_by_moving_a_border_between_parts() -> None:
    one = request(input="/a", warehouse="/b/c")
    other = request(input="/a/b", warehouse="/c")

    assert one.submission_id != other.submission_id


def test_a_pipeline_with_another_step_has_another_id(tmp_path: Path) -> None:
    same = pipeline_copy(tmp_path / "same.yaml")
    changed = pipeline_copy(tmp_path / "changed.yaml", (r"gap: 6h ", "gap: 7h "))

    assert request(str(same)).submission_id == request().submission_id
    assert request(str(changed)).submission_id != request().submission_id


def test_a_shipped_pipeline_stays_a_name() -> None:
    assert request().file is None
    assert request().command[-1] == SHIPPED


@pytest.mark.usefixtures("small_application")
def test_a_file_of_the_users_travels(tmp_path: Path) -> None:
    file = pipeline_copy(tmp_path / "of mine.yaml")
    wanted = request(str(file))
    with staged_application(wanted.file) as folder:
        staged = folder / wanted.command[-1]
        assert staged.read_bytes() == file.read_bytes()


def test_a_file_is_not_taken_for_a_shipped_pipeline_of_its_name(tmp_path: Path) -> None:
    file = pipeline_copy(tmp_path / f"{SHIPPED}.yaml")

    assert request(str(file)).file == file


def test_the_command_is_one_that_run_understands(tmp_path: Path) -> None:
    file = pipeline_copy(tmp_path / "it's $HOME.yaml")
    options = RunOptions(("--max-bad", "3"), ("--workers", "2", "--json"))
    command = shlex.split(shlex.join(request(str(file), options=options).command))
    given = params(run_command, command[4:])

    assert command[:4] == ["python", "-m", "jobs.cli", "run"]
    assert given["pipeline"] == "submitted/it's $HOME.yaml"
    assert given["input_path"] == "/shared/logs"
    assert str(given["warehouse"]) == "/shared/memory"
    assert given["address"] == "auto"
    assert (given["max_bad"], given["workers"], given["json_output"]) == (3, 2, True)


def test_submit_has_the_options_of_run() -> None:
    """An option that `run` gets belongs into `submit`, too: deciding or not."""
    missing = names(run_command) - names(submit_command)

    assert missing == set()


def test_the_application_is_what_git_has_of_the_packages() -> None:
    """A file of a kind that is not sent is noticed here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    there = {line for line in listed.stdout.splitlines() if (REPO / line).exists()}

    assert {path.as_posix() for path in application_files()} == there


@pytest.mark.slow  # Copies all of it.
def test_nothing_else_is_sent() -> None:
    with staged_application(None) as folder:
        assert {path.name for path in folder.iterdir()} == set(PACKAGES)
        assert not list(folder.rglob("__pycache__"))
        size = sum(path.stat().st_size for path in folder.rglob("*"))
    assert size < 8 * 1024 * 1024
    assert not folder.exists()


def test_a_stray_file_stays_here(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package / "__pycache__").mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "__pycache__" / "a.py").touch()
        (tmp_path / package / ".secret.txt").touch()
        (tmp_path / package / "key.pem").touch()

    assert {path.name for path in application_files(tmp_path)} == {"__init__.py"}


def test_the_packages_are_those_that_a_run_sends() -> None:
    from jobs.batch.ray_session import own_packages

    assert [Path(path).name for path in own_packages()] == list(PACKAGES)


def names(module: object) -> set[str]:
    return {option for param in command_of(module).params for option in param.opts}


def params(module: object, arguments: list[str]) -> dict[str, object]:
    with click.Context(click.Command("memoryflow")):
        return command_of(module).make_context("run", arguments).params


def command_of(module: object) -> click.Command:
    app = typer.Typer()
    module.register(app)  # pyright: ignore
    return typer.main.get_command(app)
