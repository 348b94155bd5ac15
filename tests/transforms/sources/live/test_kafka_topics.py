"""Against librdkafka's mock cluster; see tests/servers/kafka_mock.py."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.jobs.processes import wait_until
from tests.servers.kafka_mock import PARTITIONS, KafkaChild, KafkaMock
from transforms.sources.live.kafka_topics import KafkaTopics
from transforms.sources.live.protocol import LiveSource, Polled, SourceDownError

pytestmark = pytest.mark.slow

SECONDS = 120.0
BIG = 1 << 20


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as cluster:
        yield cluster


def values(count: int, start: int = 0, pad: int = 0) -> list[bytes | None]:
    return [b'{"n":%d}' % n + b" " * pad for n in range(start, start + count)]


def opened(address: str, topics: str, refresh: float = 30.0, options: str = "") -> KafkaTopics:
    return KafkaTopics.from_uri(f"kafka://{address}/{topics}?group=g{options}", refresh)


def until(done: Callable[[], bool], source: LiveSource, max_bytes: int = BIG) -> list[Polled]:
    """Poll until done; a source that is down is polled again."""
    polled: list[Polled] = []
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, "timeout"
        polled += source.poll(max_bytes, 0.1)
    return polled


def drained(source: LiveSource, count: int, max_bytes: int = BIG) -> list[Polled]:
    """Poll until `count` records are there, and once more, to see that no more come."""
    polled: list[Polled] = []
    end = time.monotonic() + SECONDS
    while sum(len(p.records) for p in polled) < count:
        assert time.monotonic() < end, f"{count} expected, got {polled}"
        polled += source.poll(max_bytes, 0.1)
    return [*polled, *source.poll(max_bytes, 0.3)]


def until_first(source: LiveSource, max_bytes: int) -> list[Polled]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if polled := list(source.poll(max_bytes, 0.1)):
            return polled
    raise AssertionError("timeout")


def records(polled: list[Polled], partition: str) -> list[tuple[int, bytes]]:
    return [record for p in polled if p.partition == partition for record in p.records]


def test_every_record_once_and_in_order(mock: KafkaMock) -> None:
    for partition in range(PARTITIONS):
        mock.send("once", values(500, partition), partition)
    with closing(opened(mock.address, "once")) as source:
        source.resume({})
        assert source.partitions() == [f"once/{n}" for n in range(PARTITIONS)]
        polled = drained(source, 500 * PARTITIONS, max_bytes=4096)
    for partition in range(PARTITIONS):
        assert records(polled, f"once/{partition}") == list(enumerate(values(500, partition)))
    assert {p.partition: p.position for p in polled} == {
        f"once/{n}": "500" for n in range(PARTITIONS)
    }
    assert all(sum(len(value) for _, value in p.records) <= 4096 for p in polled)
    assert not any(p.closed for p in polled)


def test_resumes_behind_positions(mock: KafkaMock) -> None:
    mock.send("resumed", values(10), 0)
    mock.send("resumed", values(10), 1)
    with closing(opened(mock.address, "resumed")) as source:
        source.resume({"resumed/0": "7", "other/0": "3"})
        polled = drained(source, 13)
    assert [number for number, _ in records(polled, "resumed/0")] == [7, 8, 9]
    assert [number for number, _ in records(polled, "resumed/1")] == list(range(10))


def test_a_crash_loses_nothing_whatever_the_group_says(mock: KafkaMock) -> None:
    """The warehouse's positions count, not the offsets that the group shows."""
    mock.send("truth", values(10), 0)
    with closing(opened(mock.address, "truth")) as first:
        first.resume({})
        drained(first, 10)
        first.acknowledge({"truth/0": "10"})
    with closing(opened(mock.address, "truth")) as second:
        second.resume({"truth/0": "4"})
        assert len(records(drained(second, 6), "truth/0")) == 6


@pytest.mark.parametrize("position", ["", "x", "-5", "9" * 30, "١"])
def test_a_position_that_is_none_starts_at_the_beginning(mock: KafkaMock, position: str) -> None:
    topic = f"odd-{position.encode().hex()}"
    mock.send(topic, values(3), 0)
    with closing(opened(mock.address, topic)) as source:
        source.resume({f"{topic}/0": position})
        assert len(records(drained(source, 3), f"{topic}/0")) == 3


def test_a_long_partition_does_not_starve_the_others(mock: KafkaMock) -> None:
    mock.send("fair", values(4000, pad=1000), 0)
    mock.send("fair", values(10), 1)
    mock.send("fair", values(10), 2)
    small = "&max.partition.fetch.bytes=65536"
    with closing(opened(mock.address, "fair", options=small)) as source:
        source.resume({})
        seen: list[Polled] = []
        end = time.monotonic() + SECONDS
        while len(records(seen, "fair/1")) + len(records(seen, "fair/2")) < 20:
            assert time.monotonic() < end
            seen += source.poll(100_000, 0.1)
        assert len(records(seen, "fair/0")) < 3000
        rest = drained(source, 4000 - len(records(seen, "fair/0")), 100_000)
    assert [n for n, _ in records(seen + rest, "fair/0")] == list(range(4000))


def test_prefetches_little(mock: KafkaMock) -> None:
    """What is not polled stays with the broker."""
    mock.send("deep", values(4500, pad=1000), 0)
    small = "&queued.max.messages.kbytes=100&max.partition.fetch.bytes=50000"
    with closing(opened(mock.address, "deep", options=small)) as source:
        source.resume({})
        (polled,) = until_first(source, 10)
        time.sleep(1)
        assert polled.backlog > 4000
        assert source.backlog()["deep/0"] > 4000


def test_a_topic_that_appears_later_is_read_from_its_beginning(
    mock: KafkaMock, caplog: pytest.LogCaptureFixture
) -> None:
    mock.send("early", values(2), 0)
    with closing(opened(mock.address, "late,early", refresh=0.2)) as source:
        source.resume({})
        assert source.partitions() == [f"early/{n}" for n in range(PARTITIONS)]
        assert len(records(drained(source, 2), "early/0")) == 2
        assert not any(source.poll(BIG, 0.1) for _ in range(5))
        mock.send("late", values(3), 2)
        assert len(records(drained(source, 3), "late/2")) == 3
        assert len(source.partitions()) == 2 * PARTITIONS
    assert sum("topic late" in r.getMessage() for r in caplog.records) == 1


def test_a_single_topic_may_come_later(mock: KafkaMock) -> None:
    with closing(opened(mock.address, "single", refresh=0.2)) as source:
        source.resume({})
        assert (source.partitions(), source.backlog(), source.poll(BIG, 0)) == ([], {}, [])
        mock.send("single", values(2), 0)
        assert len(records(drained(source, 2), "single/0")) == 2


def test_a_tombstone_moves_the_position_only(mock: KafkaMock) -> None:
    mock.send("dead", [b"{}", None, b"", None], 0)
    with closing(opened(mock.address, "dead")) as source:
        source.resume({})
        polled = until(lambda: source.backlog().get("dead/0") == 0, source)
    assert records(polled, "dead/0") == [(0, b"{}"), (2, b"")]
    assert polled[-1].position == "4"


def test_backlog(mock: KafkaMock) -> None:
    mock.send("heap", values(100), 0)
    mock.send("heap", values(30), 3)
    with closing(opened(mock.address, "heap")) as source:
        source.resume({"heap/3": "10"})
        assert source.backlog() == {"heap/0": 100, "heap/1": 0, "heap/2": 0, "heap/3": 20}
        drained(source, 120)
        assert sum(source.backlog().values()) == 0
        mock.send("heap", values(5), 1)
        # They may come in several batches; the client knows of all once it has fetched the last.
        wait_until(lambda: source.backlog()["heap/1"] == 5, SECONDS, "all batches")
        (polled,) = until_first(source, 1)
        assert (polled.partition, polled.backlog) == ("heap/1", 4)
        assert source.backlog()["heap/1"] == 4


def test_no_room_takes_nothing(mock: KafkaMock) -> None:
    mock.send("room", values(1), 0)
    with closing(opened(mock.address, "room")) as source:
        source.resume({})
        assert source.poll(0, 0.2) == ()
        assert len(records(drained(source, 1), "room/0")) == 1


def test_acknowledged_offsets_are_shown_to_others(mock: KafkaMock) -> None:
    mock.send("shown", values(5), 0)
    with closing(opened(mock.address, "shown")) as source:
        source.resume({})
        drained(source, 5)
        assert mock.committed("g", "shown", 0) < 0
        source.acknowledge({"shown/0": "2", "other/0": "1"})
        source.acknowledge({"shown/0": "3"})  # While the first is under way.
        until(lambda: mock.committed("g", "shown", 0) == 3, source)
        source.acknowledge({"shown/0": "5"})
    assert mock.committed("g", "shown", 0) == 5


def test_records_deleted_before_they_were_read_are_counted(
    mock: KafkaMock, caplog: pytest.LogCaptureFixture
) -> None:
    mock.send("aged", values(7000, pad=1000), 0)
    with closing(opened(mock.address, "aged")) as source:
        source.resume({"aged/0": "5"})
        polled = until(lambda: source.backlog().get("aged/0") == 0, source)
    numbers = [number for number, _ in records(polled, "aged/0")]
    assert numbers == list(range(numbers[0], 7000))
    assert numbers[0] > 5
    (warning,) = [r.getMessage() for r in caplog.records if "deleted" in r.getMessage()]
    assert f"{numbers[0] - 5} records were deleted before they were read" in warning


def test_a_log_that_is_shorter_than_the_position_is_read_anew(
    mock: KafkaMock, caplog: pytest.LogCaptureFixture
) -> None:
    mock.send("anew", values(4), 0)
    with closing(opened(mock.address, "anew")) as source:
        source.resume({"anew/0": "1000"})
        assert [n for n, _ in records(drained(source, 4), "anew/0")] == [0, 1, 2, 3]
    assert any("it ends at 4, before the position 1000" in r.getMessage() for r in caplog.records)


def test_a_broker_that_freezes_and_comes_back() -> None:
    quick = "&socket.timeout.ms=3000&api.version.request.timeout.ms=3000"
    with KafkaChild() as child:
        child.send("cold", values(3), 0)
        with closing(opened(child.address, "cold", refresh=1, options=quick)) as source:
            source.resume({})
            drained(source, 3)
            child.freeze()
            error = down(source)
            source.acknowledge({"cold/0": "3"})
            assert source.backlog()["cold/0"] == 0
            child.thaw()
            child.send("cold", values(3, 3), 0)
            polled = after_recovery(source, 3)
    assert records(polled, "cold/0") == list(enumerate(values(3, 3), 3))
    assert str(error).startswith("kafka://127.0.0.1:")


def test_a_broker_that_answers_only_after_resume() -> None:
    with KafkaChild() as child:
        child.send("slow", values(5), 0)
        child.freeze()
        with closing(opened(child.address, "slow")) as source:
            with pytest.raises(SourceDownError):
                source.resume({"slow/0": "2"})
            child.thaw()
            polled = after_recovery(source, 3)
    assert [n for n, _ in records(polled, "slow/0")] == [2, 3, 4]


def test_a_broker_that_is_gone() -> None:
    with KafkaChild() as child:
        child.send("gone", values(3), 0)
        source = opened(child.address, "gone")
        source.resume({})
        drained(source, 3)
        child.kill()
        source.acknowledge({"gone/0": "1"})  # Before the client knows; it stays under way.
        assert "gone" in str(down(source))
        source.acknowledge({"gone/0": "3"})
        started = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - started < 30  # The client itself takes most of a minute.
        with closing(opened(child.address, "gone")) as again, pytest.raises(SourceDownError):
            again.resume({})


def down(source: LiveSource) -> SourceDownError:
    """Poll until the source says that it is down."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            source.poll(BIG, 0.1)
        except SourceDownError as error:
            return error
    raise AssertionError("never said to be down")


def after_recovery(source: LiveSource, count: int) -> list[Polled]:
    """Poll on through failures until `count` records are there."""
    polled: list[Polled] = []
    end = time.monotonic() + SECONDS
    while sum(len(p.records) for p in polled) < count:
        assert time.monotonic() < end, "never came back"
        try:
            polled += source.poll(BIG, 0.1)
        except SourceDownError:
            continue
    return polled


def test_no_secret_in_name_or_trouble(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens there, so the client has something to say."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SECRET", "hunter2")
    uri = (
        "kafka://127.0.0.1:1/t?security.protocol=sasl_plaintext&sasl.mechanism=PLAIN"
        "&sasl.username=me&sasl.password=$SECRET&debug=conf,broker,security"
    )
    with closing(KafkaTopics.from_uri(uri)) as source:
        assert source.name == "kafka://127.0.0.1:1/t"
        with pytest.raises(SourceDownError) as caught:
            source.resume({})
        assert "hunter2" not in str(down(source)) + str(caught.value) + repr(source)
    assert caplog.records
    assert "hunter2" not in caplog.text


def test_a_failed_commit_is_only_logged(
    mock: KafkaMock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mock.send("refused", values(1), 0)
    with closing(opened(mock.address, "refused")) as source:
        source.resume({})

        class Refusing:
            def commit(self, **_: object) -> None:
                raise KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))

            def close(self) -> None: ...

        consumer = source._consumer
        monkeypatch.setattr(source, "_consumer", Refusing())
        source.acknowledge({"refused/0": "1"})
        source.acknowledge({"refused/0": "1"})
        monkeypatch.setattr(source, "_consumer", consumer)
    assert sum("does not show our progress" in r.getMessage() for r in caplog.records) == 1
