"""The environment that the job's processes get from Ray."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from jobs.errors import UsageError
from pipelines.errors import did_you_mean_or_list

RuntimeEnv = dict[str, Any]

OWN_VARIABLES: Mapping[str, str] = {
    # Sums that decide something must not depend on how many threads computed them.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_MAX_BYTES = 1024 * 1024
_FIELDS = (
    *("config", "conda", "container", "env_vars", "excludes", "image_uri", "nsight", "pip"),
    *("py_executable", "py_modules", "uv", "worker_process_setup_hook"),
)
_OURS: Mapping[str, str] = {
    "working_dir": "is memoryflow itself, which submit sends",
}
_TOKENS = "RAY_AUTH_"


def runtime_env(file: Path | None, names: Iterable[str]) -> RuntimeEnv:
    """Ray's runtime environment of a job, without the working directory.

    Args:
        file: YAML of Ray's `runtime_env`, merged in.
        names: variables of this process's environment to pass on; these win over the file's.

    Raises:
        UsageError: the file is not one, a variable is not set here or may not be passed on.
    """
    found = {} if file is None else _read(file)
    wanted = {**_variables(found, file), **_passed_on(names)}
    for name, value in wanted.items():
        _check_variable(name, value)
    return found | {"env_vars": {**wanted, **OWN_VARIABLES}}


def _passed_on(names: Iterable[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in names:
        if "=" in name:
            raise UsageError(
                f"--env {name.partition('=')[0]}=...: give the name alone; the value is taken "
                "from the environment, so that it is not in your shell's history"
            )
        value = os.environ.get(name)
        if value is None:
            raise UsageError(f"--env {name}: there is no such variable here; export it first")
        values[name] = value
    return values


def _check_variable(name: str, value: str) -> None:
    if name.startswith(_TOKENS):
        raise UsageError(
            f"{name} is not passed to a job: everyone who may list jobs could read it, and the "
            "cluster's processes have the token already"
        )
    if OWN_VARIABLES.get(name, value) != value:
        raise UsageError(
            f"{name} stays {OWN_VARIABLES[name]} in jobs: results would depend on it. Use more "
            "--workers instead"
        )


def _read(file: Path) -> RuntimeEnv:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--runtime-env {file} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"--runtime-env {file} is larger than {_MAX_BYTES} bytes")
    try:
        found: object = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Without the message, which quotes the line: perhaps with a key.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1} of --runtime-env" if mark is not None else "--runtime-env"
        raise UsageError(f"{where} {file} is not YAML") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"--runtime-env {file} is not a mapping such as `pip: [...]`")
    fields = cast("dict[Any, Any]", found)
    for name in fields:
        _check_field(file, str(name))
    return {str(name): value for name, value in fields.items()}


def _check_field(file: Path, name: str) -> None:
    if name in _OURS:
        raise UsageError(
            f"--runtime-env {file}: {name} {_OURS[name]}. Packages of your own are installed on "
            "the nodes, or named in `pip`"
        )
    if name not in _FIELDS:
        hint = did_you_mean_or_list(name, _FIELDS, "fields")
        raise UsageError(f"--runtime-env {file}: '{name}' is no field of runtime_env. {hint}")


def _variables(found: RuntimeEnv, file: Path | None) -> dict[str, str]:
    given: object = found.get("env_vars") or {}
    if not isinstance(given, dict):
        raise UsageError(f"--runtime-env {file}: env_vars is not a mapping of names to texts")
    variables = cast("dict[object, object]", given)
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(
                f"--runtime-env {file}: env_vars.{name} is not a text; put it in quotes"
            )
    return cast("dict[str, str]", variables)
