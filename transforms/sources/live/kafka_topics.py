"""Kafka topics as a live source."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from transforms.sources.errors import InputError
from transforms.sources.live.kafka_settings import KafkaSettings
from transforms.sources.live.protocol import Polled, SourceDownError

_LOG = logging.getLogger(__name__)
_METADATA_SECONDS = 5.0
_PROBE_SECONDS = 2.0
_MEASURE_SECONDS = 1.0
_MEASURE_EVERY_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
# What a small record takes in memory besides its value.
_RECORD_BYTES = 64
_OFFSET_LOST = (
    KafkaError._AUTO_OFFSET_RESET,  # pyright: ignore[reportPrivateUsage]  # public API, so named
    KafkaError._LOG_TRUNCATION,  # pyright: ignore[reportPrivateUsage]  # public API, so named
    KafkaError.OFFSET_OUT_OF_RANGE,
)
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # pyright: ignore[reportPrivateUsage]  # public API


@dataclass
class _Batch:
    records: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    position: int = 0


class _ClientLog:
    """Takes the client's log lines for debugging; it repeats itself while a broker is down."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._masked = settings.masked

    def log(self, _level: int, form: str, *parts: object) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%s", self._masked(form % parts))


class KafkaTopics:
    """Reads all partitions of some topics with one consumer, without group rebalancing.

    Partitions are assigned by hand (confluent-kafka, librdkafka) and start where `resume` says,
    else at their earliest record; topics and partitions that appear later are found by asking
    for metadata. A partition is named 'topic/3', its position is the next offset. A record is a
    message's value; a message without one (a tombstone) moves the position only. The group's
    offsets are committed for monitoring tools alone and are never read. Memory: the client
    prefetches about 8 MiB (a queue of 4 MiB and one fetch of 4 MiB); options change that.

    If retention deleted what was not read yet, that is logged with its size and reading goes on
    at the earliest record there is. A topic that was deleted and made anew is noticed only if it
    is shorter than the position. Backlogs count offsets up to the high watermark as of the last
    fetch: an upper bound where a topic is compacted or written in transactions.

    Tested against librdkafka's own mock cluster (the Kafka protocol over loopback: fetching,
    metadata, group offsets, retention, a broker that freezes and one that is gone) with
    confluent-kafka 2.16, and against no real broker. Untested, for the mock has no such thing:
    SASL and TLS, transactions, compaction, leader changes, partitions added to a topic.

    Args:
        settings: brokers, topics and client options.
        refresh_seconds: how often to look for new topics and partitions.

    Raises:
        InputError: the client does not know an option, or refuses its value.
    """

    def __init__(self, settings: KafkaSettings, refresh_seconds: float = 30.0) -> None:
        self._settings = settings
        self._refresh_seconds = refresh_seconds
        self._refresh_at = 0.0
        self._measure_at = 0.0
        self._committed: Mapping[str, str] = {}
        self._next: dict[str, int | None] = {}
        self._ends: dict[str, tuple[int, int]] = {}
        self._missing: set[str] = set()
        self._down = False
        self._detail = ""
        self._unsent: dict[str, int] = {}
        self._sending = False
        self._refused = ""
        self._closed = False
        self._consumer = self._connect()

    @classmethod
    def from_uri(cls, uri: str, refresh_seconds: float = 30.0) -> "KafkaTopics":
        """Open `kafka://host:port[,host:port]/topic[,topic]?group=NAME&option=value`.

        `group` is 'memoryflow' by default; all other options are librdkafka's, like
        `security.protocol=SASL_SSL`. A value `$NAME` is read from the environment, so that no
        password need be in the address.

        Raises:
            InputError: the address or an option is wrong.
        """
        return cls(KafkaSettings.from_uri(uri), refresh_seconds)

    @property
    def name(self) -> str:
        """Brokers and topics; changing either starts a new source in the warehouse."""
        return self._settings.name

    def resume(self, positions: Mapping[str, str]) -> None:
        """Start behind these positions; partitions of other topics are left alone."""
        self._committed = dict(positions)
        try:
            self._discover(_METADATA_SECONDS)
        except SourceDownError:
            # Nothing is assigned, so this brings no record: only the client's reason.
            self._consumer.poll(0)
            raise self._unreachable() from None

    def poll(self, max_bytes: int, timeout: float) -> Sequence[Polled]:
        """What is new; fails only if nothing is left in the queue and no broker answers."""
        if max_bytes <= 0:
            return ()
        batches = self._drain(max_bytes, timeout)
        self._send_offsets()
        if time.monotonic() >= self._refresh_at or (self._down and not batches):
            try:
                self._discover(_PROBE_SECONDS if self._down else _METADATA_SECONDS)
            except SourceDownError:
                if not batches:
                    raise
        return [
            Polled(name, batch.records, str(batch.position), self._behind(name) or 0)
            for name, batch in batches.items()
        ]

    def partitions(self) -> Sequence[str]:
        """All partitions found so far."""
        return sorted(self._next)

    def backlog(self) -> Mapping[str, int]:
        """Offsets between position and high watermark; unknown ones are left out."""
        unknown = [name for name in self.partitions() if self._behind(name) is None]
        if unknown and not self._down and time.monotonic() >= self._measure_at:
            self._measure(unknown)
        behind = {name: self._behind(name) for name in self.partitions()}
        return {name: size for name, size in behind.items() if size is not None}

    def acknowledge(self, positions: Mapping[str, str]) -> None:
        """Show the group's progress to monitoring tools; a failure is only logged."""
        for name, text in positions.items():
            offset = _offset(text)
            if name in self._next and offset is not None:
                self._unsent[name] = offset
        self._send_offsets()

    def close(self) -> None:
        """Leave the brokers; offsets still to be shown are tried once more."""
        if self._closed:
            return
        self._closed = True
        self._sending = False
        self._send_offsets()
        # A commit under way to a broker that is gone keeps the client for most of a minute.
        closing = threading.Thread(target=self._consumer.close, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)

    def _connect(self) -> Consumer:
        callbacks = {
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
            "logger": _ClientLog(self._settings),
        }
        try:
            return Consumer({**self._settings.client, **callbacks})
        except KafkaException as error:
            reason = self._settings.masked(error.args[0].str())
        except (TypeError, ValueError) as error:
            reason = self._settings.masked(str(error))
        # Outside of `except`, so that no traceback shows the client's own words.
        fix = "Options are those of librdkafka; its CONFIGURATION.md lists names and values."
        raise InputError(f"the Kafka client refuses an option ({reason})", self.name, fix)

    def _drain(self, max_bytes: int, timeout: float) -> dict[str, _Batch]:
        """Whatever the client has queued: brokers fill the queue from all partitions in turn."""
        batches: dict[tuple[str, int], _Batch] = {}
        size = 0
        message = self._consumer.poll(timeout)
        while message is not None and message.error() is None:
            key = (message.topic() or "", message.partition() or 0)
            size += _add(batches.setdefault(key, _Batch()), message)
            message = self._consumer.poll(0) if size < max_bytes else None
        named = {f"{topic}/{number}": batch for (topic, number), batch in batches.items()}
        self._next.update({name: batch.position for name, batch in named.items()})
        if message is not None:
            self._on_message_error(message)
        return named

    def _discover(self, timeout: float) -> None:
        """Assign the partitions that are new; success proves that a broker answers."""
        self._refresh_at = time.monotonic() + self._refresh_seconds
        topics = self._settings.topics
        # One request, since each may wait behind a fetch.
        only = topics[0] if len(topics) == 1 else None
        try:
            listed = self._consumer.list_topics(only, timeout=timeout).topics
        except KafkaException as error:
            self._down = True
            self._detail = self._detail or self._settings.masked(error.args[0].str())
            raise self._unreachable() from None
        new: list[TopicPartition] = []
        for topic in topics:
            found = listed.get(topic)
            self._say_missing(topic, found is None or found.error is not None)
            numbers = () if found is None else sorted(found.partitions)
            new += [self._start(topic, n) for n in numbers if f"{topic}/{n}" not in self._next]
        if new:
            # Before assigning: afterwards the answer waits behind a fetch.
            self._measure([f"{p.topic}/{p.partition}" for p in new])
            self._consumer.incremental_assign(new)
            self._next.update({f"{p.topic}/{p.partition}": _known(p.offset) for p in new})
        self._down = False
        self._detail = ""

    def _start(self, topic: str, number: int) -> TopicPartition:
        name = f"{topic}/{number}"
        text = self._committed.get(name)
        offset = None if text is None else _offset(text)
        if text is not None and offset is None:
            _LOG.warning("%s: the position of %s is no offset; reads it anew", self.name, name)
        return TopicPartition(topic, number, OFFSET_BEGINNING if offset is None else offset)

    def _say_missing(self, topic: str, missing: bool) -> None:
        """Say once that a topic is not there; it may come yet."""
        if not missing:
            self._missing.discard(topic)
        elif topic not in self._missing:
            self._missing.add(topic)
            fix = "create it, or allow this user to describe and read it; looking again"
            _LOG.warning("%s: topic %s is not there: %s", self.name, topic, fix)

    def _on_message_error(self, message: Message) -> None:
        error, topic, number = message.error(), message.topic(), message.partition()
        if error is None:
            return
        if error.code() in _OFFSET_LOST and topic is not None and number is not None:
            self._start_anew(topic, number)
        else:
            reason = self._settings.masked(error.str())
            _LOG.warning("%s: %s/%s: %s", self.name, topic, number, reason)

    def _start_anew(self, topic: str, number: int) -> None:
        """The position is not there any more: say what is lost and take the earliest."""
        name = f"{topic}/{number}"
        before = self._next.get(name) or 0
        at = TopicPartition(topic, number, OFFSET_BEGINNING)
        try:
            low, high = self._consumer.get_watermark_offsets(at, timeout=_METADATA_SECONDS)
        except KafkaException:
            low, high = OFFSET_BEGINNING, OFFSET_BEGINNING
        if low > before:
            lost = f"{low - before} records were deleted before they were read ({before} to {low})"
        elif 0 <= high < before:
            lost = f"it ends at {high}, before the position {before}: was it made anew?"
        else:
            lost = f"offset {before} is not there any more, how many records are gone is unknown"
        _LOG.warning("%s: %s: %s; goes on at the earliest", self.name, name, lost)
        self._consumer.incremental_unassign([at])
        self._consumer.incremental_assign([TopicPartition(topic, number, low)])
        self._next[name] = _known(low)
        self._ends[name] = (low, high)

    def _behind(self, name: str) -> int | None:
        low, high = self._consumer.get_watermark_offsets(_partition(name), cached=True)
        measured_low, measured_high = self._ends.get(name, (-1, -1))
        position = self._next[name]
        start = max(low, measured_low) if position is None else position
        high = max(high, measured_high)
        return None if high < 0 or start < 0 else max(high - start, 0)

    def _measure(self, names: Sequence[str]) -> None:
        """Ask for both ends of some partitions, in two requests a broker.

        A fetch brings only the latest, and only once it is answered.
        """
        self._measure_at = time.monotonic() + _MEASURE_EVERY_SECONDS
        ends: list[dict[str, int]] = []
        for end in (OFFSET_BEGINNING, OFFSET_END):
            # Passed on as the protocol's special timestamps -2 and -1: earliest and latest.
            at = [_partition(name, end) for name in names]
            try:
                found = self._consumer.offsets_for_times(at, timeout=_MEASURE_SECONDS)
            except KafkaException:
                return
            ends.append({f"{p.topic}/{p.partition}": p.offset for p in found if p.error is None})
        low, high = ends
        self._ends.update({name: (low[name], high[name]) for name in low.keys() & high.keys()})

    def _send_offsets(self) -> None:
        """Commit to the group, one request at a time: more would pile up while it is down."""
        if not self._unsent or self._sending or self._down:
            return
        offsets = [_partition(name, offset) for name, offset in self._unsent.items()]
        self._unsent = {}
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
            self._sending = True
        except KafkaException as error:
            self._on_commit(error.args[0], offsets)

    def _on_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        self._sending = False
        reason = "" if error is None else self._settings.masked(error.str())
        if reason and reason != self._refused:
            _LOG.warning("%s: the group does not show our progress: %s", self.name, reason)
        self._refused = reason

    def _on_error(self, error: KafkaError) -> None:
        """The client's own troubles; it goes on trying, so only all brokers down counts."""
        reason = self._settings.masked(error.str())
        if error.code() == _ALL_DOWN:
            self._down = True
            self._detail = self._detail or reason
        else:
            self._detail = reason

    def _unreachable(self) -> SourceDownError:
        return SourceDownError(f"{self.name}: {self._detail or 'no broker answers'}")


def _add(batch: _Batch, message: Message) -> int:
    """Take a message in; its size in memory."""
    offset, value = message.offset() or 0, message.value()
    batch.position = offset + 1
    if not isinstance(value, bytes):
        return _RECORD_BYTES
    batch.records.append((offset, value))
    return len(value) + _RECORD_BYTES


def _offset(text: str) -> int | None:
    fits = text.isascii() and text.isdecimal() and len(text) < len(str(2**63))
    return int(text) if fits else None


def _known(offset: int) -> int | None:
    return offset if offset >= 0 else None


def _partition(name: str, offset: int = OFFSET_BEGINNING) -> TopicPartition:
    topic, _, number = name.rpartition("/")
    return TopicPartition(topic, int(number), offset)
