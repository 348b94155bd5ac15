"""Invariant 1: whatever the order of arrival, a stream ends in the state of one batch run."""

import random
import tempfile
import threading
import time
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.jobs.stream.here import append, batch_here, digest_at, quick_plan, stream_here
from tests.pipelines.logs import messages
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table

SLOW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def lines_of(log) -> list[bytes]:
    return [message.model_dump_json(exclude_none=True).encode() for message in log]


@st.composite
def arrivals(draw: st.DrawFn):
    """A log, and how it arrives: repeated, shuffled, in chunks, over several partitions."""
    log = lines_of(draw(messages(size=16)))
    repeated = draw(st.lists(st.sampled_from(log), max_size=4))
    order = draw(st.permutations(log + repeated))
    partitions = draw(st.integers(1, 3))
    chunks: list[tuple[int, list[bytes]]] = []
    at = 0
    while at < len(order):
        size = draw(st.integers(1, len(order) - at))
        chunks.append((draw(st.integers(0, partitions - 1)), list(order[at : at + size])))
        at += size
    return log, chunks


@SLOW
@given(arrivals())
def test_restarted_after_every_chunk(arrival) -> None:
    log, chunks = arrival
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        using = quick_plan(folder)
        (folder / "logs").mkdir()
        for partition, lines in chunks:
            append(folder / "logs" / f"{partition}.jsonl", lines)
            stream_here(folder / "streamed", [str(folder / "logs")], using)
        batch_here(folder / "batch", log, using)

        assert digest_at(folder / "streamed") == digest_at(folder / "batch")


@SLOW
@given(arrivals(), st.sampled_from(["every_pane", "session_end"]))
def test_written_while_it_is_read(arrival, consolidate: str) -> None:
    """Partitions that start late, pause beyond the idle time-out, and come back."""
    log, chunks = arrival
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        using = quick_plan(folder, consolidate=consolidate)
        (folder / "logs").mkdir()

        def write() -> None:
            for partition, lines in chunks:
                append(folder / "logs" / f"{partition}.jsonl", lines)
                time.sleep(random.Random(len(lines)).choice([0.0, 0.05, 0.2]))

        writer = threading.Thread(target=write)
        writer.start()
        stream_here(folder / "streamed", [str(folder / "logs")], using, until_idle=0.6)
        writer.join()
        batch_here(folder / "batch", log, using)

        assert digest_at(folder / "streamed") == digest_at(folder / "batch")


@SLOW
@given(arrivals())
def test_only_closed_sessions_are_built(arrival) -> None:
    log, chunks = arrival
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        using = quick_plan(folder, early="null")
        (folder / "logs").mkdir()
        for partition, lines in chunks:
            append(folder / "logs" / f"{partition}.jsonl", lines)
        stream_here(folder / "streamed", [str(folder / "logs")], using)
        batch_here(folder / "batch", log, using)

        assert digest_at(folder / "streamed") == digest_at(folder / "batch")


@SLOW
@given(arrivals())
def test_too_late_is_kept_out_and_can_be_made_up_for(arrival) -> None:
    """Later than allowed: dead letters, the same ones however the partition was read. Their raw
    bytes are messages; a run over them leaves what one run over the whole log leaves."""
    log, chunks = arrival
    order = [line for _, lines in chunks for line in lines]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        using = quick_plan(folder, allowed_lateness="3h", session_gap="3h")
        for at, line in enumerate(order):
            append(folder / "log.jsonl", [line])
            if at % 5 == 0:
                stream_here(folder / "streamed", [str(folder / "log.jsonl")], using)
        stream_here(folder / "streamed", [str(folder / "log.jsonl")], using)
        stream_here(folder / "at_once", [str(folder / "log.jsonl")], using)
        assert digest_at(folder / "streamed") == digest_at(folder / "at_once")

        with open_warehouse(folder / "streamed", read_only=True) as opened:
            letters = read_table(opened, "dead_letters")
        assert set(letters["reason"].to_pylist()) <= {"too_late"}
        for raw in letters["raw"].to_pylist():
            assert orjson.loads(raw)["message_id"]
        batch_here(folder / "streamed", letters["raw"].to_pylist(), using)
        batch_here(folder / "batch", log, using)
        assert digest_at(folder / "streamed") == digest_at(folder / "batch")
