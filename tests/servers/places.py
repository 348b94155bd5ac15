"""Folders whose warehouse is on the tests' own PostgreSQL and S3 servers."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.postgres import PASSWORD, PostgresServer, running_postgres
from tests.servers.s3 import KEY_ID, SECRET, S3Server, running_s3

OWNER = "memory_owner"
BUCKET = "lake"


@dataclass(frozen=True)
class Place:
    """A folder with a warehouse.yaml, a database and a prefix of its own."""

    folder: Path
    database: str | None
    prefix: str | None
    servers: "Servers"

    def leaks(self, needle: str) -> list[str]:
        """Where the word is outside the folder: objects, all versions, and database files."""
        data = needle.encode()
        found: list[str] = []
        if self.prefix is not None:
            found += [
                name
                for name, content in self.servers.s3.objects(BUCKET).items()
                if name.startswith(f"{self.prefix}/") and data in content
            ]
        if self.database is not None:
            files = self.servers.postgres.files(self.database)
            found += [str(path) for path, content in files if data in content]
        return found

    def data_files(self) -> set[str]:
        """Keys of the Parquet files."""
        keys = self.servers.s3.objects(BUCKET)
        return {key for key in keys if key.startswith(f"{self.prefix}/data/")}


@dataclass
class Servers:
    """Both servers, and places on them."""

    postgres: PostgresServer
    s3: S3Server
    _places: int = 0

    def place(self, folder: Path, kind: str) -> Place:
        """A new place; `kind` names what is outside the folder, `postgres+s3` both."""
        self._places += 1
        database = prefix = None
        lines: list[str] = []
        if "postgres" in kind:
            database = f"memory{self._places}"
            self.postgres.create_database(database, OWNER)
            lines.append(f'catalog: "postgres:{self.postgres.words(database, OWNER)}"')
        if "s3" in kind:
            prefix = f"team/memory{self._places}"
            lines.append(f"data: s3://{BUCKET}/{prefix}")
            lines.append(f's3: {{endpoint: "{self.s3.endpoint}", use_ssl: false}}')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "warehouse.yaml").write_text("\n".join(lines) + "\n")
        return Place(folder, database, prefix, self)


@contextmanager
def running_servers() -> Generator[Servers]:
    """Both servers for the length of a block, and the secrets for them in the environment."""
    secrets = {
        "PGPASSWORD": PASSWORD,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    with running_postgres() as postgres, running_s3() as s3, pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("AWS_", "PG"))]:
            patch.delenv(name)
        for name, value in secrets.items():
            patch.setenv(name, value)
        s3.client().create_bucket(Bucket=BUCKET)
        postgres.create_role(OWNER)
        yield Servers(postgres, s3)
