"""What a stream last said of itself, and whether it is still there to say more."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import orjson
import psutil

from jobs.stream.pulse import PULSE_FILE

State = Literal["starting", "running", "waiting", "silent", "ended", "failed", "killed"]

_SILENT_AFTER = timedelta(seconds=30)
# One that started later than the pulse did (but for a clock set right) has only inherited the id.
_START_SLACK = timedelta(seconds=60)


@dataclass(frozen=True)
class LastPulse:
    """The content of DIR/stream.json, judged.

    Attributes:
        state: starting; running; waiting (lets another process write first); silent (its
            process lives but has not said anything for 30 seconds); ended (in order); failed
            (with an error); killed (its process is gone without a word).
        age: since the file was written.
        content: the file.
    """

    state: State
    age: timedelta
    content: dict[str, Any]

    @property
    def alive(self) -> bool:
        """Whether the stream's process is there."""
        return self.state in ("starting", "running", "waiting", "silent")


def last_pulse(folder: Path, now: datetime) -> LastPulse | None:
    """The last pulse of the stream at `folder`; None where there never was one."""
    try:
        found = orjson.loads((folder / PULSE_FILE).read_bytes())
        content = cast("dict[str, Any]", found)
        said, pid = content["state"], int(content["pid"])
        started, at = (_moment(content[key]) for key in ("started_at", "at"))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Missing, or not one of ours.
    age = max(now - at, timedelta(0))
    return LastPulse(_state(str(said), age, alive=_lives(pid, started)), age, content)


def _state(said: str, age: timedelta, *, alive: bool) -> State:
    if said == "ended":
        return "ended"
    if said == "failed":
        return "failed"
    if not alive:
        return "killed"
    if said == "waiting":
        return "waiting"
    if said == "starting":
        return "starting"
    return "silent" if age > _SILENT_AFTER else "running"


def _lives(pid: int, started: datetime) -> bool:
    """Whether that very process runs: process ids are given out again."""
    try:
        process = psutil.Process(pid)
        born = datetime.fromtimestamp(process.create_time(), UTC)
        return process.status() != psutil.STATUS_ZOMBIE and born <= started + _START_SLACK
    except (psutil.Error, ValueError, OverflowError):
        return False


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
