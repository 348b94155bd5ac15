"""Invariant 1: whatever the order of arrival, a stream ends in the state of one batch run."""

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from tests.effort import examples
from tests.jobs.stream.here import (
    append,
    batch_content,
    batch_in,
    content_in,
    quick_plan,
    stream_in,
)
from tests.pipelines.logs import messages
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Every example is a few whole streams.

QUIET = 0.1
"""Seconds without news after which a stream over finished files ends."""

PAUSED = 0.6


def lines_of(log) -> list[bytes]:
    return [message.model_dump_json(exclude_none=True).encode() for message in log]


@cache
def planned(**streaming: str) -> Plan:
    """One plan for all examples: Beam's translation of its steps is kept with it."""
    with tempfile.TemporaryDirectory() as name:
        return quick_plan(Path(name), **streaming)


@contextmanager
def warehouse_in(folder: Path) -> Iterator[Warehouse]:
    with open_warehouse(folder, threads=1) as opened:
        yield opened


@st.composite
def arrivals(draw: st.DrawFn):
    """A log, and how it arrives: repeated, shuffled, in chunks, over several partitions."""
    log = lines_of(draw(messages(size=10, least=4)))
    repeated = draw(st.lists(st.sampled_from(log), max_size=4))
    order = draw(st.permutations(log + repeated))
    cuts = draw(st.sets(st.integers(1, len(order) - 1), min_size=1, max_size=3))
    partitions = st.integers(0, draw(st.integers(0, 2)))
    edges = sorted({0, len(order), *cuts})
    return log, [(draw(partitions), list(order[a:b])) for a, b in pairwise(edges)]


@examples(3)
@given(arrivals())
def test_restarted_after_every_chunk(arrival) -> None:
    log, chunks = arrival
    using = planned()
    with tempfile.TemporaryDirectory() as name, warehouse_in(Path(name) / "streamed") as streamed:
        logs = Path(name) / "logs"
        logs.mkdir()
        for partition, lines in chunks:
            append(logs / f"{partition}.jsonl", lines)
            stream_in(streamed, [str(logs)], using, QUIET)

        assert content_in(streamed) == batch_content(log, using)


@examples(3)
@given(arrivals(), st.sampled_from(["every_pane", "session_end"]))
def test_written_while_it_is_read(arrival, consolidate: str) -> None:
    """Partitions that start late, pause beyond the idle time-out, and come back."""
    log, chunks = arrival
    using = planned(consolidate=consolidate)
    with tempfile.TemporaryDirectory() as name, warehouse_in(Path(name) / "streamed") as streamed:
        logs = Path(name) / "logs"
        logs.mkdir()

        def write() -> None:
            for partition, lines in chunks:
                append(logs / f"{partition}.jsonl", lines)
                time.sleep(random.Random(len(lines)).choice([0.0, 0.05, 0.2]))

        writer = threading.Thread(target=write)
        writer.start()
        # One stream, unless this machine let the writer wait for longer than the stream does.
        left, done = sum(len(lines) for _, lines in chunks), False
        while left > 0 and not done:
            done = not writer.is_alive()
            left -= stream_in(streamed, [str(logs)], using, PAUSED).messages
        writer.join()

        assert content_in(streamed) == batch_content(log, using)


@examples(3)
@given(arrivals())
def test_only_closed_sessions_are_built(arrival) -> None:
    log, chunks = arrival
    using = planned(early="null")
    with tempfile.TemporaryDirectory() as name, warehouse_in(Path(name) / "streamed") as streamed:
        logs = Path(name) / "logs"
        logs.mkdir()
        for partition, lines in chunks:
            append(logs / f"{partition}.jsonl", lines)
        stream_in(streamed, [str(logs)], using, QUIET)

        assert content_in(streamed) == batch_content(log, using)


@examples(3)
@given(arrivals())
def test_too_late_is_kept_out_and_can_be_made_up_for(arrival) -> None:
    """Later than allowed: dead letters, the same ones however the partition was read. Their raw
    bytes are messages; a run over them leaves what one run over the whole log leaves."""
    log, chunks = arrival
    using = planned(allowed_lateness="3h", session_gap="3h")
    with (
        tempfile.TemporaryDirectory() as name,
        warehouse_in(Path(name) / "streamed") as streamed,
        warehouse_in(Path(name) / "at_once") as at_once,
    ):
        file = Path(name) / "log.jsonl"
        for _, lines in chunks:
            append(file, lines)
            stream_in(streamed, [str(file)], using, QUIET)
        stream_in(at_once, [str(file)], using, QUIET)
        assert content_in(streamed) == content_in(at_once)

        letters = read_table(streamed, "dead_letters")
        assert set(letters["reason"].to_pylist()) <= {"too_late"}
        for raw in letters["raw"].to_pylist():
            assert orjson.loads(raw)["message_id"]
        batch_in(streamed, letters["raw"].to_pylist(), using)
        assert content_in(streamed) == batch_content(log, using)
