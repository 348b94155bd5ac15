"""Redis streams as a live source, against a real server: nothing lost, order kept."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
import redis
from redis.client import Pipeline

from tests.servers.redis_server import RedisServer, running_redis
from transforms.sources.errors import InputError
from transforms.sources.live.protocol import SourceDownError
from transforms.sources.live.redis_streams import RedisStreams

pytestmark = pytest.mark.slow
_MIB = 1024 * 1024
TRIES = 3
"""This process may be stopped for seconds, but not each time."""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), append_only=False) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """The server of this module, empty; tests that end it start their own."""
    with closing(shared_server.client()) as client:
        client.flushall()
    return shared_server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with closing(server.client()) as client:
        yield client


def add(client: redis.Redis, numbers: Sequence[int], key: str = "a") -> list[str]:
    """Entries whose message is a number; their ids."""
    pipe = client.pipeline(transaction=False)
    for number in numbers:
        pipe.xadd(key, {"message": json.dumps(number)})
    return [entry_id.decode() for entry_id in pipe.execute()]


def opened(
    server: RedisServer, query: str = "stream=a", position: str | None = None, consumer: str = "c"
) -> RedisStreams:
    source = RedisStreams.from_uri(server.uri(f"{query}&consumer={consumer}"))
    source.resume({} if position is None else {"a": position})
    return source


def drain(source: RedisStreams, max_bytes: int = _MIB) -> tuple[list[int], str]:
    """All there is in stream a, and the position behind it."""
    numbers: list[int] = []
    position = ""
    while polled := source.poll(max_bytes, 0):
        (batch,) = polled
        numbers += [json.loads(raw) for _, raw in batch.records]
        position = batch.position
    return numbers, position


def pending(client: redis.Redis, key: str = "a", group: str = "memoryflow") -> int:
    return client.xpending(key, group)["pending"]


def test_everything_in_order_once(server: RedisServer, client: redis.Redis) -> None:
    ids = add(client, range(5000))
    with closing(opened(server)) as source:
        first = source.poll(20_000, 0)[0]
        assert 0 < len(first.records) < 200
        assert [number for number, _ in first.records] == [
            int(entry_id.partition("-")[0]) for entry_id in ids[: len(first.records)]
        ]
        rest, position = drain(source, 20_000)
        add(client, [5000])
        last, _ = drain(source)

    numbers = [json.loads(raw) for _, raw in first.records] + rest
    assert numbers == list(range(5000))
    assert position == ids[-1]
    assert last == [5000]


def test_pending_entries_come_again_after_a_crash(server: RedisServer, client: redis.Redis) -> None:
    ids = add(client, range(100))
    with closing(opened(server, consumer="crashed")) as source:
        assert drain(source)[0] == list(range(100))
        source.acknowledge({"a": ids[39]})
    assert pending(client) == 60
    add(client, range(100, 120))

    with closing(opened(server, position=ids[39], consumer="next")) as source:
        claimed = {
            row["consumer"] for row in client.xpending_range("a", "memoryflow", "-", "+", 99)
        }
        again, position = drain(source, 3_000)
        source.acknowledge({"a": position})

    assert claimed == {b"next"}
    assert again == list(range(40, 120))
    assert pending(client) == 0


def test_acknowledged_entries_never_come_again(server: RedisServer, client: redis.Redis) -> None:
    add(client, range(10))
    with closing(opened(server)) as source:
        _, position = drain(source)
        source.acknowledge({"a": position})

    with closing(opened(server, position=position)) as source:
        assert drain(source)[0] == []
        assert source.backlog() == {"a": 0}


def test_committed_but_not_acknowledged(server: RedisServer, client: redis.Redis) -> None:
    add(client, range(2500))
    with closing(opened(server)) as source:
        _, position = drain(source)
    assert pending(client) == 2500

    with closing(opened(server, position=position)) as source:
        assert pending(client) == 0
        assert source.poll(_MIB, 0) == []


def test_a_restored_warehouse_reads_what_the_group_has_done(
    server: RedisServer, client: redis.Redis
) -> None:
    ids = add(client, range(300))
    with closing(opened(server)) as source:
        _, position = drain(source)
        source.acknowledge({"a": position})
    add(client, range(300, 310))

    with closing(opened(server, position=ids[99])) as source:
        assert drain(source, 5_000)[0] == list(range(100, 310))


def test_a_new_group_starts_at_the_position(server: RedisServer, client: redis.Redis) -> None:
    ids = add(client, range(20))

    with closing(opened(server, "stream=a&group=other", ids[9])) as source:
        assert drain(source)[0] == list(range(10, 20))
    assert pending(client, group="other") == 10


def test_deleted_and_trimmed_entries_are_no_error(server: RedisServer, client: redis.Redis) -> None:
    ids = add(client, range(50))
    with closing(opened(server)) as source:
        drain(source)
    client.xdel("a", *ids[20:30], ids[49])
    client.xtrim("a", maxlen=25, approximate=False)

    with closing(opened(server, position=ids[9])) as source:
        numbers, position = drain(source)
        assert numbers == [*range(14, 20), *range(30, 49)]
        source.acknowledge({"a": position})
        add(client, [50])
        numbers, position = drain(source)
        source.acknowledge({"a": position})
    assert numbers == [50]
    assert pending(client) == 0


def test_another_reader_of_the_group_takes_nothing_away(
    server: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add(client, range(10))
    with closing(opened(server)) as source:
        first, _ = drain(source)
        add(client, range(10, 20))
        client.xreadgroup("memoryflow", "other", {"a": ">"}, count=5, noack=True)
        rest, _ = drain(source)

    assert first + rest == list(range(20))
    assert "another reader" in caplog.text


@pytest.mark.parametrize("at_run_time", [False, True])
def test_a_stream_made_anew_is_read_from_its_beginning(
    server: RedisServer,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    at_run_time: bool,
) -> None:
    client.xadd("a", {"message": "1"}, id="900-0")
    with closing(opened(server)) as source:
        _, position = drain(source)
        client.delete("a")
        for index in range(3):
            client.xadd("a", {"message": str(index)}, id=f"{899 + index}-1")
        if at_run_time:
            with pytest.raises(SourceDownError, match="deleted"):
                source.poll(_MIB, 0)
            assert drain(source)[0] == [0, 1, 2]
        else:
            with closing(opened(server, position=position)) as again:
                assert drain(again)[0] == [0, 1, 2]
    assert "reads it anew" in caplog.text


def test_a_flush_at_run_time(server: RedisServer, client: redis.Redis) -> None:
    add(client, range(3))
    with closing(opened(server)) as source:
        drain(source)
        client.flushall()
        with pytest.raises(SourceDownError):
            source.poll(_MIB, 0)
        assert source.poll(_MIB, 0) == []
        add(client, [7])
        assert drain(source)[0] == [7]


def test_a_position_that_is_none(
    server: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add(client, range(3))
    with closing(opened(server, position="nonsense")) as source:
        assert drain(source)[0] == [0, 1, 2]
    assert "no entry id" in caplog.text


def test_entries_without_the_field_and_with_line_breaks(
    server: RedisServer, client: redis.Redis
) -> None:
    client.xadd("a", {"text": "hi", b"\xff": "x"})
    client.xadd("a", {"message": '{\n"a": 1\n}'})
    with closing(opened(server)) as source:
        ((_, strange), (_, broken)) = source.poll(_MIB, 0)[0].records
    assert json.loads(strange) == {"text": "hi", "\ufffd": "x"}
    assert json.loads(broken) == {"a": 1}
    assert b"\n" not in broken


def test_two_streams_are_served_fairly(server: RedisServer, client: redis.Redis) -> None:
    add(client, range(3000), "a")
    add(client, range(20), "b")
    with closing(opened(server, "stream=a&stream=b")) as source:
        assert source.partitions() == ["a", "b"]
        sizes = {"a": 0, "b": 0}
        for _ in range(3):
            for batch in source.poll(100_000, 0):
                sizes[batch.partition] += len(batch.records)
        assert sizes["b"] == 20
        assert 0 < sizes["a"] < 1500
        seen = sizes["a"]
        while polled := source.poll(100_000, 0):
            seen += sum(len(batch.records) for batch in polled)
    assert seen == 3000


def test_large_entries_come_in_small_batches(server: RedisServer, client: redis.Redis) -> None:
    for index in range(40):
        client.xadd("a", {"message": json.dumps([index, "x" * 200_000])})
    with closing(opened(server)) as source:
        counts: list[int] = []
        numbers: list[int] = []
        while polled := source.poll(_MIB, 0):
            records = polled[0].records
            counts.append(len(records))
            numbers += [json.loads(raw)[0] for _, raw in records]
        add(client, [1])
        assert len(source.poll(1, 0)[0].records) == 1
    assert numbers == list(range(40))
    assert max(counts) <= 7


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is measured at the start, and counted from there, however long that takes."""
    monkeypatch.setattr("transforms.sources.live.redis_cursor._MEASURE_SECONDS", 3600.0)


@pytest.mark.usefixtures("measured_once")
def test_backlog(server: RedisServer, client: redis.Redis) -> None:
    add(client, range(1000))
    with closing(opened(server)) as source:
        assert source.backlog() == {"a": 1000}
        (batch,) = source.poll(10_000, 0)
        assert batch.backlog == 1000 - len(batch.records)
        drain(source)
        assert source.backlog() == {"a": 0}


@pytest.mark.usefixtures("measured_once")
def test_backlog_from_a_server_that_counts(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 7.0 on the group says how far it lags; nothing, where it does not know."""
    lag: list[int | None] = [42]
    original = redis.Redis.xinfo_groups

    def with_lag(self: redis.Redis, name: str) -> object:
        reply = original(self, name)
        if isinstance(self, Pipeline):
            return reply
        return [group | {"lag": lag[0]} for group in reply]

    monkeypatch.setattr(redis.Redis, "xinfo_groups", with_lag)
    add(client, range(10))
    with closing(opened(server)) as source:
        assert source.backlog() == {"a": 42}
        lag[0] = None
        assert source.backlog() == {"a": 42}
    with closing(opened(server)) as source:
        assert source.backlog() == {"a": 10}


def test_waits_no_longer_than_told(server: RedisServer) -> None:
    took: list[float] = []
    with closing(opened(server)) as source:
        for _ in range(TRIES):
            begin = time.monotonic()
            assert source.poll(_MIB, 0.3) == []
            took.append(time.monotonic() - begin)
    assert all(seconds > 0.25 for seconds in took)
    assert min(took) < 2


def test_waits_for_what_comes(server: RedisServer, client: redis.Redis) -> None:
    def write_later() -> None:
        time.sleep(0.2)
        add(client, [1])

    took: list[float] = []
    with closing(opened(server)) as source:
        for _ in range(TRIES):
            writer = Thread(target=write_later)
            writer.start()
            begin = time.monotonic()
            polled = source.poll(_MIB, 4)
            took.append(time.monotonic() - begin)
            writer.join()
            assert [raw for _, raw in polled[0].records] == [b"1"]
    assert min(took) < 2


def test_a_wrong_password_and_a_wrong_key(tmp_path: Path) -> None:
    with running_redis(tmp_path, append_only=False, password="hunter2") as server:
        with closing(server.client()) as client:
            client.set("text", "x")
        for uri in (
            server.uri("stream=a", ":hunter3@"),
            server.uri("stream=a"),
            server.uri("stream=text", ":hunter2@"),
            server.uri("stream=a", ":hunter2@").replace("/0?", "/99?"),
        ):
            with closing(RedisStreams.from_uri(uri)) as source:
                with pytest.raises(InputError, match="refuses") as refused:
                    source.resume({})
                with pytest.raises(SourceDownError) as down:
                    source.poll(_MIB, 0)
            assert "hunter" not in str(refused.value) + str(down.value) + source.name
        with closing(RedisStreams.from_uri(server.uri("stream=a", ":hunter2@"))) as source:
            source.resume({})
            server.kill()
            with pytest.raises(SourceDownError, match="cannot be read") as down:
                source.poll(_MIB, 0)
            source.acknowledge({"a": "1-0"})
            assert source.backlog() == {"a": 0}
            assert "hunter" not in str(down.value)


def test_down_at_the_start(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        with closing(server.client()) as client:
            ids = add(client, range(6))
        server.kill()
        with closing(RedisStreams.from_uri(server.uri("stream=a"))) as source:
            with pytest.raises(SourceDownError):
                source.resume({"a": ids[2]})
            server.restart()
            assert drain(source)[0] == [3, 4, 5]


def test_acknowledgements_are_made_up_for(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        with closing(server.client()) as client:
            add(client, range(10))
        with closing(opened(server)) as source:
            _, position = drain(source)
            server.kill()
            source.acknowledge({"a": position})
            server.restart()
            assert drain(source)[0] == []
        with closing(server.client()) as client:
            assert pending(client) == 0


def test_a_restart_without_persistence(tmp_path: Path) -> None:
    with running_redis(tmp_path, append_only=False) as server:
        with closing(server.client()) as client:
            add(client, range(10))
        with closing(opened(server)) as source:
            drain(source)
            server.kill()
            server.restart()
            with closing(server.client()) as client:
                client.xadd("a", {"message": "77"}, id="5-5")
            with pytest.raises(SourceDownError):
                source.poll(_MIB, 0)
            assert drain(source)[0] == [77]


def write_numbers(server: RedisServer, total: int, written: Event) -> None:
    """Numbers in order, each until it is confirmed: so one may be there twice."""
    with closing(server.client()) as client:
        for number in range(total):
            while True:
                try:
                    client.xadd("a", {"message": str(number)})
                    break
                except (redis.RedisError, OSError):
                    time.sleep(0.01)
    written.set()


def test_killed_servers_lose_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    total, kills = 1500, 3
    written = Event()

    with running_redis(tmp_path) as server:
        writer = Thread(target=write_numbers, args=(server, total, written), daemon=True)
        source = opened(server)
        writer.start()
        seen: list[int] = []
        positions: dict[str, str] = {}
        downs = killed = 0
        is_noticed = True
        until = time.monotonic() + 240
        while time.monotonic() < until:
            done = written.is_set()
            try:
                polled = source.poll(20_000, 0.05)
            except SourceDownError:
                downs += 1
                if not is_noticed:  # Else it might be back before anybody asks.
                    is_noticed = True
                    Thread(target=server.start, daemon=True).start()
                time.sleep(0.02)
                continue
            for batch in polled:
                seen += [json.loads(raw) for _, raw in batch.records]
                positions[batch.partition] = batch.position
            source.acknowledge(positions)
            if killed < kills and len(seen) > total * (killed + 1) // (kills + 1):
                killed += 1
                server.kill()
                is_noticed = False
            if done and not polled:
                break
        writer.join(60)
        source.close()
        with closing(server.client()) as client:
            held = [int(fields[b"message"]) for _, fields in client.xrange("a") or () if fields]
            assert pending(client) == 0

    assert killed == kills
    assert downs >= kills
    assert seen == held
    assert list(dict.fromkeys(seen)) == list(range(total))
    assert "reads it anew" not in caplog.text
