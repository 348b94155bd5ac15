"""A log as a live source would bring it: by event time, some late, some twice."""

import gzip
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

LATE_SHARE = 0.02
TWICE_SHARE = 0.01
_LATEST = timedelta(days=2)  # Within the shipped pipeline's allowed lateness.


def read_lines(path: Path) -> list[bytes]:
    """The lines of a JSONL file, plain or gzip."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return [line for line in data.splitlines() if line.strip()]


def live_order(lines: list[bytes], seed: int = 7) -> list[bytes]:
    """By event time; 2% come up to two days late, 1% come again later."""
    chance = random.Random(seed)
    arrivals: list[tuple[datetime, int, bytes]] = []
    for number, line in enumerate(lines):
        moment = _time(line)
        if chance.random() < LATE_SHARE:
            moment += chance.random() * _LATEST
        arrivals.append((moment, number, line))
        if chance.random() < TWICE_SHARE:
            arrivals.append((moment + chance.random() * _LATEST, number, line))
    return [line for _, _, line in sorted(arrivals)]


def repeated_log(lines: list[bytes], times: int) -> list[bytes]:
    """The log `times` over, one after the other in event time, as conversations of their own."""
    moments = [_time(line) for line in lines]
    span = max(moments) - min(moments) + timedelta(days=1)
    out: list[bytes] = []
    for turn in range(times):
        for line, moment in zip(lines, moments, strict=True):
            record = json.loads(line)
            record["conversation_id"] += f"-{turn}"
            record["text"] += f" ({turn})"  # A text of its own, to be embedded.
            record["timestamp"] = (moment + turn * span).isoformat()
            out.append(json.dumps(record, ensure_ascii=False).encode())
    return out


def write_lines(path: Path, lines: list[bytes]) -> Path:
    """As a JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _time(line: bytes) -> datetime:
    return datetime.fromisoformat(json.loads(line)["timestamp"])
