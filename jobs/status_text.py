"""The text of `memoryflow status`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]

_STATES = {
    "starting": "starting",
    "running": "running",
    "waiting": "waiting (another process is writing)",
    "silent": "NOT RESPONDING (its process is there, but says nothing)",
    "ended": "ended in order",
    "failed": "FAILED (its last lines on stderr say why; start it again to resume)",
    "killed": "KILLED (its process is gone; start it again to resume)",
}
# A commit writes `running`, and so it stays where the run fails or is killed after it.
_RUN_STATUSES = {"running": "not finished"}
_SHOWN = 12
_WIDEST = 48


def render_status(found: Row) -> str:
    """What `jobs.status.status` found, for people."""
    lines = [f"warehouse    {found['warehouse']}"]
    lines += _stream(found["stream"], found["at"])
    lines += _event_time(found)
    lines += _memory(found["counts"], found["storage"])
    lines += _section(
        "dead letters",
        [(f"{row['count']:,}", row["step"], row["reason"]) for row in found["dead_letters"]],
    )
    titles = "committed (source, partition, position, newest event time)"
    lines += _section(titles, [_position(row) for row in found["positions"]])
    if found["input_files"]:
        lines.append(f"input files  {found['input_files']:,} read to their end")
    lines += _section(
        "last runs (job, status, started, last commit)", [_run(row) for row in found["runs"]]
    )
    return "\n".join(_printable(line).rstrip() for line in lines)


def _stream(stream: Row | None, now: datetime) -> Iterator[str]:
    if stream is None:
        yield "stream       none so far"
        return
    ago = _span((now - stream["said_at"]).total_seconds())
    yield f"stream       {_STATES[stream['state']]}, process {stream['pid']}, last heard {ago} ago"
    if stream["state"] != "running":
        yield "             what it last said:"
    yield (
        f"  read       {_number(stream['messages'])} messages since {_time(stream['started_at'])}"
        f" ({_number(stream['messages_per_second'])}/s), {_number(stream['commits'])} commit(s)"
        f"{_percentiles(' of', stream['commit_seconds'])}"
    )
    yield (
        f"  on the way {_number(stream['in_flight_messages'])} messages, "
        f"{_size(stream['in_flight_bytes'] or 0)}"
        f"{_percentiles('; searchable after', stream['freshness_seconds'])}"
    )
    backlog: Mapping[str, int] = stream["backlog"] or {}
    waiting = [(f"{size:,}", name) for name, size in backlog.items() if size]
    total = sum(backlog.values())
    yield f"  backlog    {total:,} (records or bytes) in {len(waiting)} partition(s)"
    yield from (f"             {line}" for line in _cut(waiting))
    for source, trouble in (stream["troubles"] or {}).items():
        yield f"  TROUBLE    {source}: {trouble}"


def _event_time(found: Row) -> Iterator[str]:
    if found["watermark"] is not None:
        behind = found["lag"]["event_time_seconds"]
        lag = ""
        if behind is not None:
            side = "before" if behind >= 0 else "after"
            lag = f", {_span(abs(behind))} {side} the newest message"
        yield f"watermark    {_time(found['watermark'])}{lag}"
        yield f"sessions     {_number(found['open_sessions'])} open"
    if found["newest_message"] is not None:
        yield f"newest       {_time(found['newest_message'])} (event time)"


def _memory(counts: Row, storage: Row) -> Iterator[str]:
    yield (
        f"memory       {counts['messages']:,} messages in {counts['conversations']:,} "
        f"conversations, {counts['sessions']:,} sessions, {counts['facts']:,} facts "
        f"({counts['active_facts']:,} active), {counts['entities']:,} entities"
    )
    yield (
        f"             {counts['episodes']:,} episodes, {counts['scenes']:,} scenes, "
        f"{counts['personas']:,} persona entries"
    )
    yield (
        f"storage      {storage['live_files']:,} live files ({_size(storage['live_bytes'])}), "
        f"{storage['snapshots']:,} snapshots, {_size(storage['disk_bytes'])} on disk"
    )


def _position(row: Row) -> tuple[str, ...]:
    newest = _time(row["newest"]) if row["newest"] is not None else "no message yet"
    return row["source"], row["partition"], row["position"], newest


def _run(row: Row) -> tuple[str, ...]:
    status = str(row["status"])
    status = _RUN_STATUSES.get(status, status)
    return row["job"], status, _time(row["started_at"]), _time(row["finished_at"])


def _section(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [title, *(f"  {line}" for line in _cut(rows))]


def _cut(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first rows, and how many more there are."""
    lines = _aligned(rows[:_SHOWN])
    if len(rows) > _SHOWN:
        lines.append(f"... and {len(rows) - _SHOWN:,} more (--json has all)")
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns, numbers to the right; long cells lose their middle."""
    short = [[_shortened(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*short, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if cell.replace(",", "").isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        for row in short
    ]


def _shortened(text: str) -> str:
    half = _WIDEST // 2
    return text if len(text) <= _WIDEST else f"{text[: half - 1]}…{text[-half:]}"


def _percentiles(words: str, values: Mapping[str, float] | None) -> str:
    if not values:
        return ""
    return f"{words} {values['p50']:.1f} s (p95 {values['p95']:.1f} s)"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def _printable(line: str) -> str:
    """No control characters: names of sources and errors come from elsewhere."""
    return "".join(c if c.isprintable() else "?" for c in line)
