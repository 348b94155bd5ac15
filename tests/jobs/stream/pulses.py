"""Standings and reports for the tests of a stream's pulse."""

from datetime import UTC, datetime

from jobs.stream.pulse import Standing
from jobs.stream.report import StreamReport

WATERMARK = datetime(2024, 3, 1, 12, tzinfo=UTC)
STANDING = Standing(
    watermark=WATERMARK,
    open_sessions=3,
    in_flight_messages=7,
    in_flight_bytes=2048,
    backlog={("chat", "0"): 11, ("chat", "1"): 0, ("redis", "talk"): 5},
    troubles={"redis": "connection refused"},
    dead_letters=2,
)


def report() -> StreamReport:
    """One commit of a hundred messages."""
    out = StreamReport()
    out.read(100)
    out.add({"facts": {"computed": 4, "reused": 1}, "read": {"messages": 100}})
    out.committed(0.25, [0.5, 1.0, 2.0])
    return out
