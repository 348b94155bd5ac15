"""The command starts fast, and imports an engine only where a command needs one."""

import subprocess
import sys

import pytest

from tests.jobs.processes import REPO, cli, environment

pytestmark = pytest.mark.slow

_LOADED = """
import sys
from jobs import cli
sys.argv = ["memoryflow", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    pass
names = {{name.partition(".")[0] for name in sys.modules}}
print("LOADED", *sorted(names & {{"ray", "apache_beam", "torch"}}))
"""


def test_help_names_every_command() -> None:
    done = cli("--help")

    assert done.code == 0
    for command in ("run", "validate", "explain", "sql", "why", "digest", "forget"):
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("arguments", [["run", "--help"], ["sql", "--help"], ["--help"]], ids=str)
def test_help_imports_no_engine(arguments: list[str]) -> None:
    assert loaded_by(arguments) == []


def test_validate_imports_no_ray() -> None:
    assert "ray" not in loaded_by(["validate", "conversation_memory"])


def test_no_arguments_is_help() -> None:
    done = cli()

    assert done.code in {0, 2}
    assert "Usage" in done.stdout + done.stderr


def loaded_by(arguments: list[str]) -> list[str]:
    """Engines that are imported once the command has ended."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(arguments=arguments)],
        cwd=REPO,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stdout.splitlines()[-1].split()[1:]
