"""Reads one Redis stream through a consumer group, but trusts only its own position."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import redis
from redis.exceptions import ResponseError

from transforms.sources.live.redis_entries import (
    START,
    Entry,
    EntryId,
    entries_of,
    group_entries_of,
)

_LOG = logging.getLogger(__name__)
_PAGE = 1000
_MOST_ENTRIES = 10_000
# A first guess that keeps the first read small; the stream's own entries correct it.
_GUESSED_BYTES = 16 * 1024
# Entries over the room are given back and read again, which is dearer than a little more.
_SLACK = 1.25
_MEASURE_SECONDS = 1.0


class GroupMovedError(Exception):
    """The group stands before our position: it, or the stream, was made anew."""


class RedisCursor:
    """A position in one stream, and how to go on from it.

    Up to what the group has delivered, entries are read by range, whoever they went to: our
    predecessor, a reply lost on the way, or another reader of the group. Behind that, the group
    delivers new ones. So nothing is passed over, whatever the group believes.

    Args:
        client: must not repeat commands by itself.
        key: of the stream.
        group: consumer group, made where it is missing.
        consumer: our name in it.
        field: of an entry, that holds the message.
        claim_idle: seconds an entry must have been pending before we put our name on it. It is
            read in any case.
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        group: str,
        consumer: str,
        field: str,
        claim_idle: float,
    ) -> None:
        self.key = key
        self.position = START
        self.backlog = 0
        self._client = client
        self._group = group
        self._consumer = consumer
        self._field = field.encode()
        self._claim_ms = int(claim_idle * 1000)
        self._read_to = START
        self._delivered = START
        self._committed = START
        self._entry_bytes = float(_GUESSED_BYTES)
        self._measured_at = 0.0
        self._warned = False

    def resume(self, text: str) -> None:
        """Start behind a committed position."""
        found = EntryId.parse(text)
        if found is None:
            _LOG.warning("stream %s: its position is no entry id; reads it anew", self.key)
        self.position = found or START
        self.commit(self.position)

    def commit(self, position: EntryId) -> None:
        """All up to here may be acknowledged, by `acknowledge`."""
        self._committed = max(self._committed, position)

    def attach(self) -> None:
        """Find our place again after a start, a lost connection or a lost stream."""
        self._make_group()
        self._check_history()
        self._read_to = self.position
        self._delivered = self._group_at()
        if self._delivered < self.position:
            # Else the group would deliver again what is committed.
            self._client.xgroup_setid(self.key, self._group, str(self.position))
            self._delivered = self.position
        self.acknowledge()
        self._claim()
        self._warned = False
        self._measured_at = 0.0

    def read(self, room: int) -> list[Entry]:
        """The next entries in order, about `room` bytes and at least one, if there are any.

        Raises:
            GroupMovedError: `attach` first.
            redis.RedisError: nothing was taken.
        """
        count = max(1, min(int(room / self._entry_bytes), _MOST_ENTRIES))
        entries: list[Entry] = []
        if self._read_to < self._delivered:
            entries = self._read_range(count, room)
        if not entries:
            entries = self._read_new(count, room)
        if entries:
            self.position = entries[-1].id
            self.backlog = max(0, self.backlog - len(entries))
            mean = sum(entry.size for entry in entries) / len(entries)
            self._entry_bytes = (self._entry_bytes + mean) / 2
        return entries

    @property
    def wait_id(self) -> str:
        """What is new lies behind this id."""
        return str(self._read_to)

    def acknowledge(self) -> None:
        """Take what is committed off the group's pending lists, whoever it was delivered to."""
        last = min(self._committed, self.position)
        while last > START:
            pending = self._client.xpending_range(self.key, self._group, "-", str(last), _PAGE)
            if pending:
                ids = [row["message_id"] for row in pending]
                self._client.xack(self.key, self._group, *ids)
            if len(pending) < _PAGE:
                break
        self._committed = START

    def measure(self) -> None:
        """Find the backlog anew, at most once a second."""
        now = time.monotonic()
        if now < self._measured_at + _MEASURE_SECONDS:
            return
        stream: Mapping[str, Any] = self._client.xinfo_stream(self.key)
        lag = self._group_info().get("lag")
        exact = self._read_to >= self._delivered and lag is not None
        self.backlog = int(lag) if exact and lag is not None else self._estimate(stream)
        self._measured_at = now

    def _read_range(self, count: int, room: int) -> list[Entry]:
        """From what the group has delivered already; entries deleted meanwhile are no error."""
        reply = self._client.xrange(self.key, f"({self._read_to}", str(self._delivered), count)
        entries = entries_of(reply, self._field)
        kept = _fitting(entries, room)
        at_end = len(entries) < count and len(kept) == len(entries)
        self._read_to = self._delivered if at_end else kept[-1].id
        return kept

    def _read_new(self, count: int, room: int) -> list[Entry]:
        """From the group, in one step with a look at where it stood before."""
        pipe = self._client.pipeline(transaction=True)
        pipe.xinfo_groups(self.key)
        pipe.xreadgroup(self._group, self._consumer, {self.key: ">"}, count=count)
        groups, reply = pipe.execute()
        before = EntryId.of(self._of_group(groups)["last-delivered-id"])
        entries = group_entries_of(reply, self._field)
        if before < self._read_to:
            raise GroupMovedError(self.key)
        self._delivered = entries[-1].id if entries else before
        if before > self._read_to:
            self._warn_shared()
            return self._read_range(count, room)
        if not entries:
            return []
        kept = _fitting(entries, room)
        self._read_to = kept[-1].id
        return kept

    def _warn_shared(self) -> None:
        if not self._warned:
            text = "stream %s: another reader uses group %s; give each warehouse its own group"
            _LOG.warning(text, self.key, self._group)
        self._warned = True

    def _make_group(self) -> None:
        try:
            self._client.xgroup_create(self.key, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _check_history(self) -> None:
        """Start at the beginning where the stream is not the one that we have read.

        That is one that ends before our position, or has entries before it, but not the one at
        it: then it was made anew, or lost its end in a crash, and new entries may have come to
        lie before our position. An entry deleted just there looks the same, and costs a reading.
        """
        if self.position == START:
            return
        stream: Mapping[str, Any] = self._client.xinfo_stream(self.key)
        before = self._client.xrevrange(self.key, str(self.position), "-", 1)
        ends_at = EntryId.of(stream["last-generated-id"])
        if ends_at >= self.position and (not before or EntryId.of(before[0][0]) == self.position):
            return
        text = "stream %s does not hold entry %s any more, but older ones or none: reads it anew"
        _LOG.warning(text, self.key, self.position)
        self.position = START
        self._committed = START

    def _claim(self) -> None:
        """Put our name on what a crashed predecessor left pending."""
        start = self.position
        while True:
            reply = self._client.xautoclaim(
                self.key, self._group, self._consumer, self._claim_ms, str(start), _PAGE, True
            )
            if not reply:
                return
            last = EntryId.of(reply[-1])
            start = EntryId(last.ms, last.number + 1)

    def _group_at(self) -> EntryId:
        return EntryId.of(self._group_info()["last-delivered-id"])

    def _group_info(self) -> Mapping[str, Any]:
        return self._of_group(self._client.xinfo_groups(self.key))

    def _of_group(self, groups: Any) -> Mapping[str, Any]:
        for group in groups:
            if group["name"] in {self._group, self._group.encode()}:
                return group
        raise GroupMovedError(self.key)

    def _estimate(self, stream: Mapping[str, Any]) -> int:
        """Servers before 7.0 do not count: suppose entries spread evenly over their time."""
        length, first = int(stream["length"]), stream["first-entry"]
        end = EntryId.of(stream["last-generated-id"])
        if not length or not first or self._read_to >= end:
            return 0
        begin = EntryId.of(first[0])
        if self._read_to < begin:
            return length
        share = (end.ms - self._read_to.ms) / max(1, end.ms - begin.ms)
        return min(length, max(1, round(length * share)))


def _fitting(entries: list[Entry], room: int) -> list[Entry]:
    """As many as fit, and at least one."""
    size = 0
    for index, entry in enumerate(entries):
        size += entry.size
        if index and size > room * _SLACK:
            return entries[:index]
    return entries
