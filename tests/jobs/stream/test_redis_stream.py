"""A live Redis stream: the server dies under load, the reader dies, the server is not there.

The server is a real one, on loopback, that has every acknowledged entry on disk.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs.stream.last_pulse import last_pulse
from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, sample_lines, shuffled
from tests.jobs.processes import RUN_SECONDS, Running, cli, running, wait_until
from tests.jobs.stream.here import batch_here
from tests.jobs.stream.killing import kill_in_the_middle
from tests.servers.redis_server import RedisServer, redis_binary, running_redis

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(redis_binary() is None, reason="no redis-server here"),
]

KEY, GROUP = "chat", "memoryflow"
IDLE, PATIENT = 1, 4
"""Seconds after which a stream ends; patient where this process may be stopped in the middle."""

DOWN_SECONDS = 9.0
"""Twice what counts as idle, and more: the stream asks less and less often."""


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """A log in an order of arrival of its own."""
    return [json.dumps(line).encode() for line in shuffled(sample_lines(24, 2))]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> Path:
    """A pipeline that commits often, and what one batch run makes of the log."""
    folder = tmp_path_factory.mktemp("redis-stream")
    pipeline_copy(
        folder / "p.yaml",
        (r"slice_chars: \S+", "slice_chars: 1000"),
        (r"max_in_flight_mib: \S+", "max_in_flight_mib: 0.004"),
        (r"commit_interval: \S+", "commit_interval: 0.05s"),
        (r"early: \S+", "early: 0.05s"),
        (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
    )
    batch_here(folder / "batch", lines, plan(folder / "p.yaml"))
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    data = tmp_path / "redis"
    data.mkdir()
    with running_redis(data) as started:
        yield started


def arguments(work: Path, uri: str, warehouse: Path, idle: int = IDLE) -> list[object]:
    options = ["--until-idle", idle, "--workers", 1, "--verbose"]
    return ["stream", work / "p.yaml", "--source", uri, "-w", warehouse, *options]


class Writer:
    """Writes a log entry by entry, and an entry again where the server did not answer."""

    def __init__(self, server: RedisServer, lines: Sequence[bytes], pause: float) -> None:
        self._server, self._lines, self._pause = server, lines, pause
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.written = 0

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(RUN_SECONDS)
        assert self.written == len(self._lines)

    def _write(self) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        with contextlib.closing(self._server.client()) as client:
            while self.written < len(self._lines) and time.monotonic() < deadline:
                try:
                    client.xadd(KEY, {"message": self._lines[self.written]})
                    self.written += 1
                except redis.RedisError:
                    pass
                time.sleep(self._pause)


def troubles(warehouse: Path) -> dict[str, str]:
    """What `memoryflow status` is told of sources that are down."""
    pulse = last_pulse(warehouse, datetime.now(UTC))
    return {} if pulse is None else pulse.content["troubles"]


def test_the_server_dies_under_load(
    work: Path, lines: list[bytes], server: RedisServer, tmp_path: Path
) -> None:
    warehouse = tmp_path / "w"
    third = len(lines) // 3
    with Writer(server, lines[:third], 0.0):
        pass
    command = arguments(work, server.uri(f"stream={KEY}"), warehouse, PATIENT)
    with running(*command) as stream:
        stream.wait_for_line("^commit 1: writing")
        with Writer(server, lines[third:], 0.1) as writer:
            wait_until(lambda: writer.written >= third // 2, RUN_SECONDS, "entry")
            server.kill()
            down_since = time.monotonic()
            wait_until(lambda: troubles(warehouse) != {} or stream.ended, RUN_SECONDS, "trouble")
            seen = troubles(warehouse)
            assert_says_what_is_wrong(stream, seen, server)
            time.sleep(max(0.0, down_since + DOWN_SECONDS - time.monotonic()))
            assert not stream.ended, "down was taken for idle"
            assert writer.written < len(lines) - third, "it did not die under load"
            server.start()
            wait_until(lambda: troubles(warehouse) == {} or stream.ended, RUN_SECONDS, "its end")
        done = stream.finish()

    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("trying again until it is back") == 1
    assert done.stderr.count("back again") == 1
    assert digest_at(warehouse) == digest_at(work / "batch")
    assert nothing_is_left(server)


def assert_says_what_is_wrong(stream: Running, seen: dict[str, str], server: RedisServer) -> None:
    assert not stream.ended, "".join(stream.lines)
    ((name, why),) = seen.items()
    assert name == server.uri(f"stream={KEY}&group={GROUP}&field=message")
    assert "cannot be read" in why


def test_the_stream_dies_twice(
    work: Path, lines: list[bytes], server: RedisServer, tmp_path: Path
) -> None:
    """Once with a commit under way, once just after one, before Redis has heard of it."""
    warehouse = tmp_path / "w"

    def write_all() -> None:
        with Writer(server, lines, 0.0):
            pass

    write_all()
    command = arguments(work, server.uri(f"stream={KEY}"), warehouse)
    for moment in ("2: writing", "1: snapshot"):
        kill_in_the_middle(command, moment, lambda: not nothing_is_left(server), write_all)

    with running(*command) as stream:
        done = stream.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
    assert nothing_is_left(server)


def nothing_is_left(server: RedisServer) -> bool:
    """Whether the group has nothing pending, and no entry that it was not given."""
    with contextlib.closing(server.client()) as client:
        pending: Any = client.xpending(KEY, GROUP)
        (group,) = [g for g in client.xinfo_groups(KEY) if g["name"] == GROUP.encode()]
        # A server before 7.0 does not tell the lag itself.
        behind: Any = client.xrange(KEY, f"({group['last-delivered-id'].decode()}", "+")
    assert group.get("lag") in {None, len(behind)}
    return pending["pending"] == 0 and not behind


def test_no_server_at_the_start(work: Path, tmp_path: Path) -> None:
    absent = RedisServer(tmp_path)  # Has a port, and is never started.
    uri = absent.uri(f"stream={KEY}")
    started = time.monotonic()

    done = cli(*arguments(work, uri, tmp_path / "w"))

    took = time.monotonic() - started
    assert done.code in {2, 4}, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "cannot be read" in line]
    assert f"127.0.0.1:{absent.port}" in line
    assert took < 120
