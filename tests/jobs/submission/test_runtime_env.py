"""What the job's processes are given, and what they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.submission.runtime_env import OWN_VARIABLES, runtime_env
from tests.jobs.processes import REPO, environment


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "env.yaml"
    path.write_text(text)
    return path


def test_results_do_not_depend_on_threads() -> None:
    assert runtime_env(None, []) == {"env_vars": dict(OWN_VARIABLES)}


def test_the_variables_are_those_that_a_run_sets_itself() -> None:
    code = (
        "import os; before = set(os.environ)\n"
        "from jobs.batch.ray_environment import prepare_ray_environment as p; p('auto')\n"
        "print(*sorted(n for n in set(os.environ) - before if not n.startswith('RAY_')))"
    )
    clean = {k: v for k, v in environment().items() if k not in OWN_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, env=clean, capture_output=True, check=True
    )

    assert done.stdout.decode().split() == sorted(OWN_VARIABLES)


def test_a_file_is_merged_in(tmp_path: Path) -> None:
    file = file_with(tmp_path, "pip: [requests]\nenv_vars: {A: '1'}\n")

    assert runtime_env(file, []) == {"pip": ["requests"], "env_vars": {"A": "1", **OWN_VARIABLES}}


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    assert runtime_env(file_with(tmp_path, ""), []) == runtime_env(None, [])


def test_a_variable_is_passed_on_with_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "from here")
    file = file_with(tmp_path, "env_vars: {MY_KEY: from the file}")

    assert runtime_env(file, ["MY_KEY"])["env_vars"]["MY_KEY"] == "from here"


def test_a_variable_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UsageError, match="export it first"):
        runtime_env(None, ["MY_KEY"])


def test_a_value_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="name alone") as caught:
        runtime_env(None, ["MY_KEY=sesame"])
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"])
def test_the_token_is_never_sent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "sesame")
    for file, names in ((None, [name]), (file_with(tmp_path, f"env_vars: {{{name}: sesame}}"), [])):
        with pytest.raises(UsageError, match="not passed to a job") as caught:
            runtime_env(file, names)
        assert "sesame" not in str(caught.value)


def test_the_number_of_threads_is_not_for_choice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OMP_NUM_THREADS stays 1"):
        runtime_env(file_with(tmp_path, "env_vars: {OMP_NUM_THREADS: '4'}"), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("working_dir: .", "working_dir is memoryflow itself"),
        ("pipp: [x]", "'pipp' is no field of runtime_env. Did you mean 'pip'"),
        ("- pip", "not a mapping"),
        ("env_vars: [A]", "env_vars is not a mapping"),
        ("env_vars: {A: 1}", "env_vars.A is not a text; put it in quotes"),
        ("{", "is not YAML"),
        ("env_vars: {A: 2025-99-99}", "is not YAML"),
        ("\xff", "is no field"),
        ("a: &a [*a]", "is no field"),
        ("#" * 1_100_000, "is larger than"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        runtime_env(file_with(tmp_path, text if text != "\xff" else "\xff: 1"), [])
    assert message in str(caught.value)


def test_a_broken_line_is_not_repeated(tmp_path: Path) -> None:
    file = file_with(tmp_path, 'env_vars:\n  MY_KEY: "sesame\n  B: "1"\n')
    with pytest.raises(UsageError, match=r"line \d of --runtime-env .* is not YAML") as caught:
        runtime_env(file, [])
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        runtime_env(tmp_path / "none.yaml", [])
