"""Errors of what a warehouse has outside its folder, in the words of the user."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.stores import Stores

_AGAIN = "then run the same command again."
# DuckDB's, httpfs' and libpq's messages; the first that fits is taken.
_FAILURES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), what, fix)
    for pattern, what, fix in (
        (
            r"server closed the connection|terminating connection|unable to connect to postgres|"
            r"connection to server .* failed|no connection to the server|"
            r"ssl connection has been closed|failed to execute query .?rollback",
            "the connection to the catalog's server was lost",
            f"Check that PostgreSQL runs and can be reached; {_AGAIN}",
        ),
        (
            r"\bhttp 40[13]\b",
            "the object store refuses access",
            "Check the keys in the environment variables that warehouse.yaml names, and their "
            f"rights on bucket and prefix; {_AGAIN}",
        ),
        (
            r"\bhttp 404\b",
            "the bucket or a file in it is missing",
            f"Check that the bucket is there, and `data` in warehouse.yaml; {_AGAIN}",
        ),
        (
            r"(could not (establish connection|connect to server|resolve hostname)|"
            r"timeout was reached|http 5\d\d\b|failed to connect).*http|"
            r"http.*(could not (establish connection|connect|resolve)|connection error|timeout|"
            r"http 5\d\d\b)",
            "the object store cannot be reached",
            f"Check that it runs, and `s3.endpoint` and `s3.use_ssl` in warehouse.yaml; {_AGAIN}",
        ),
    )
)


def remote_failure(message: str, where: Path | str) -> WarehouseError | None:
    """What a message of DuckDB says of a server, as a WarehouseError; None for other messages."""
    text = message.splitlines()[0] if message else ""
    for pattern, what, fix in _FAILURES:
        if pattern.search(" ".join(message.split())):
            return WarehouseError(f"{what}: {text}", where, fix)
    return None


@contextmanager
def remote_failures(stores: Stores) -> Generator[None]:
    """WarehouseError where a server of the warehouse fails in this block."""
    try:
        yield
    except duckdb.Error as error:
        failure = remote_failure(str(error), stores.folder) if stores.kinds else None
        if failure is None:
            raise
        raise failure from error
