"""From source records to parcels: parse, judge lateness, cut into runs."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from jobs.stream.delivery import Delivery, Mark, Parcel, Partition
from operators.parse.base import ParseLimits
from operators.parse.jsonl import parse_jsonl
from transforms.event_time.cut_runs import cut_runs
from transforms.event_time.partition_clock import PartitionClock
from transforms.event_time.runs import SessionRun
from transforms.event_time.watermark import Watermark
from transforms.frame import conversations_of, keep_conversations
from transforms.sources.live.protocol import LiveSource, Polled, SourceDownError

_LOG = logging.getLogger(__name__)
_POLL_BYTES = 2 * 1024 * 1024
_RETRY_SECONDS = 0.5
_LOOK_SECONDS = 0.25
"""What a look counts for at most: a process that was stopped before it has not listened."""


@dataclass(frozen=True)
class Tolerance:
    """What decides lateness, from the pipeline's streaming section."""

    gap: timedelta
    out_of_orderness: timedelta
    allowed_lateness: timedelta

    @property
    def total(self) -> timedelta:
        """How far behind its partition's newest message a message may be."""
        return self.gap + self.allowed_lateness + self.out_of_orderness


@dataclass
class Taken:
    """What one poll brought.

    Attributes:
        runs: for the live runner.
        late: tokens of parcels that came too late, which the runner would drop.
        dead_letters: lines that could not be read.
        messages: how many were read.
    """

    runs: list[SessionRun] = field(default_factory=list[SessionRun])
    late: list[int] = field(default_factory=list[int])
    dead_letters: list[pa.Table] = field(default_factory=list[pa.Table])
    messages: int = 0


@dataclass
class _Open:
    """An open source and its trouble, if any."""

    source: LiveSource
    retry_at: float = 0.0
    trouble: str | None = None
    pause: float = _RETRY_SECONDS


class Intake:
    """Reads the sources in turn.

    Args:
        sources: resumed already.
        marks: where each partition stands, as committed.
        limits: bounds of a message.
        tolerance: what is too late.
        delivery: where parcels are booked.
        watermark: told what was heard.
    """

    def __init__(
        self,
        sources: Sequence[LiveSource],
        marks: Mapping[Partition, Mark],
        limits: ParseLimits,
        tolerance: Tolerance,
        delivery: Delivery,
        watermark: Watermark,
    ) -> None:
        self._sources = [_Open(source) for source in sources]
        self._limits = limits
        self._tolerance = tolerance
        self._delivery = delivery
        self._watermark = watermark
        self._clocks: dict[Partition, PartitionClock] = {}
        self.counters: Counter[str] = Counter()
        now = time.monotonic()
        for partition, mark in marks.items():
            self._clocks[partition] = PartitionClock(mark.newest, tolerance.total)
            watermark.heard(partition, mark.newest, now)
        self._silent = 0.0
        self._looked_at = now

    @property
    def troubles(self) -> dict[str, str]:
        """Sources that cannot be reached now, and why."""
        return {s.source.name: s.trouble for s in self._sources if s.trouble is not None}

    @property
    def silence(self) -> float:
        """Seconds for which all sources were listened to since something was heard.

        What a source holds is not known while it is down, nor while the stream is busy with
        something else, or this process does not get to run: such time is no silence.
        """
        return 0.0 if self.troubles else self._silent

    def was_deaf(self) -> None:
        """Nobody listened until now, so the silence begins anew."""
        self._silent = 0.0
        self._looked_at = time.monotonic()

    def backlog(self) -> dict[Partition, int]:
        """What waits in the sources."""
        return {
            (opened.source.name, partition): size
            for opened in self._sources
            for partition, size in opened.source.backlog().items()
        }

    def take(self, room: int, timeout: float) -> Taken:
        """Poll every source once; each waits at most its share of `timeout`."""
        taken = Taken()
        share = min(room, _POLL_BYTES) // len(self._sources)
        for opened in self._sources:
            for polled in self._poll(opened, share, timeout / len(self._sources)):
                self._accept(opened.source.name, polled, taken)
        # A look without waiting may miss what is on its way from a server.
        if timeout > 0:
            now = time.monotonic()
            self._silent += min(now - self._looked_at, _LOOK_SECONDS)
            self._looked_at = now
        return taken

    def acknowledge(self, marks: Mapping[Partition, Mark]) -> None:
        """Tell the sources what has been committed."""
        for opened in self._sources:
            name = opened.source.name
            positions = {p: mark.position for (s, p), mark in marks.items() if s == name}
            if positions:
                opened.source.acknowledge(positions)

    def _poll(self, opened: _Open, room: int, timeout: float) -> Sequence[Polled]:
        now = time.monotonic()
        if now < opened.retry_at:
            time.sleep(min(timeout, opened.retry_at - now))
            return ()
        try:
            polled = opened.source.poll(room, timeout)
        except SourceDownError as error:
            if opened.trouble is None:
                _LOG.error("%s; trying again until it is back", error)
            opened.trouble = str(error)
            opened.retry_at = now + opened.pause
            opened.pause = min(opened.pause * 2, 5.0)
            return ()
        if opened.trouble is not None:
            _LOG.error("%s: back again", opened.source.name)
            opened.trouble, opened.pause = None, _RETRY_SECONDS
            self.was_deaf()
        return polled

    def _accept(self, source: str, polled: Polled, taken: Taken) -> None:
        partition = (source, polled.partition)
        clock = self._clocks.get(partition)
        if clock is None:
            clock = self._clocks[partition] = PartitionClock(None, self._tolerance.total)
        label = f"{source} {polled.partition}"
        parsed = parse_jsonl(polled.records, label, self._limits)
        parcels = self._parcels(parsed.messages, clock, source, taken)
        self._delivery.register(partition, Mark(polled.position, clock.newest), parcels)
        if parsed.dead_letters.num_rows:
            taken.dead_letters.append(parsed.dead_letters)
        taken.messages += parsed.messages.num_rows
        self.counters.update(parsed.counters)
        self._hear(partition, polled, clock)

    def _hear(self, partition: Partition, polled: Polled, clock: PartitionClock) -> None:
        now = time.monotonic()
        if polled.records:
            self._silent, self._looked_at = 0.0, now
            self._watermark.heard(partition, clock.newest, now)
        if polled.closed:
            # Its clock stays: a file may come back, and lateness must not depend on that.
            self._watermark.closed(partition)

    def _parcels(
        self, messages: pa.Table, clock: PartitionClock, source: str, taken: Taken
    ) -> list[Parcel]:
        now = time.monotonic()
        judged = clock.judge(messages, datetime.now(UTC))
        parcels: list[Parcel] = []
        for run in cut_runs(messages.filter(pa.array(~judged.too_late)), self._tolerance.gap):
            token = self._delivery.next_token()
            parcels.append(Parcel(token, run.conversation, run.rows, now, source))
            taken.runs.append(SessionRun(run.conversation, token, run.start, run.end))
        if not judged.too_late.any():
            return parcels
        late = messages.filter(pa.array(judged.too_late))
        late = late.append_column("newest", pa.array(judged.newest[judged.too_late]))
        for conversation in conversations_of(late):
            rows = keep_conversations(late, [conversation])
            token = self._delivery.next_token()
            newest = rows["newest"].to_numpy().tolist()
            plain = rows.drop_columns(["newest"])
            parcels.append(Parcel(token, conversation, plain, now, source, newest))
            taken.late.append(token)
        return parcels
