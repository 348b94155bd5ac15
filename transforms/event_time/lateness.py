"""Messages that came too late: kept out of memory, and kept, so that they can be taken in.

Lateness is no property of a message but of where it stands in its partition, so a too late
message is told by its own content alone: the same version gives the same dead letter,
however often it is delivered, and whoever takes it in later knows which one to remove.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from operators.parse.timestamps import EPOCH
from schemas.ids import content_id
from schemas.message import canonical_json
from schemas.tables import TABLES

EVENT_TIME_STEP = "event_time"
TOO_LATE = "too_late"
_PLAIN_FIELDS = (
    *("conversation_id", "message_id", "speaker", "text"),
    *("seq", "revision", "role", "tenant"),
)
_BACKFILL = (
    "memoryflow sql --warehouse DIR --lines "
    "\"SELECT raw FROM dead_letters WHERE reason = 'too_late'\" > late.jsonl && "
    "memoryflow run PIPELINE --input late.jsonl --warehouse DIR"
)


@dataclass(frozen=True)
class TooLate:
    """Messages later than allowed.

    Attributes:
        rows: `messages` rows as read.
        newest: newest event time (microseconds since 1970) of the partition of each as it came.
        sources: the source of each.
    """

    rows: pa.Table
    newest: Sequence[int]
    sources: Sequence[str | None]

    def take(self, places: Sequence[int]) -> "TooLate":
        """Those at these places."""
        return TooLate(
            self.rows.take(pa.array(places, pa.int64())),
            [self.newest[place] for place in places],
            [self.sources[place] for place in places],
        )


def too_late_id(
    tenant: str, conversation: str, message_id: str, content_hash: str, revision: int = 0
) -> str:
    """Id of the dead letter of a message version that came too late.

    The revision counts: the same content under a higher one may win over what is recorded.
    """
    version = (tenant, conversation, message_id, content_hash, revision)
    return content_id("dead", EVENT_TIME_STEP, TOO_LATE, *version)


def too_late_ids(messages: pa.Table) -> list[str]:
    """`too_late_id` of every row of `messages`."""
    names = ("tenant", "conversation_id", "message_id", "content_hash", "revision")
    columns = (messages[name].to_pylist() for name in names)
    return [too_late_id(*version) for version in zip(*columns, strict=True)]


def too_late_letters(late: TooLate) -> pa.Table:
    """`dead_letters` rows, one per message; `raw` can be fed to `memoryflow run --input`."""
    ids = too_late_ids(late.rows)
    letters = zip(ids, late.rows.to_pylist(), late.newest, late.sources, strict=True)
    rows = [
        {
            "dead_letter_id": letter,
            "step": EVENT_TIME_STEP,
            "reason": TOO_LATE,
            "detail": _detail(row["timestamp"], newest),
            "raw": input_line(row),
            "source": source,
            "offset": None,
            "tenant": row["tenant"],
        }
        for letter, row, newest, source in letters
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["dead_letters"].schema)


def input_line(row: dict[str, Any]) -> bytes:
    """A row of `messages` as the input line it came from, in canonical JSON.

    Read again it gives the very same row, content hash included.
    """
    fields = {name: canonical_json(row[name]) for name in _PLAIN_FIELDS if row[name] is not None}
    fields["timestamp"] = canonical_json(_written(row["timestamp"]))
    if row["given_session_id"] is not None:
        fields["session_id"] = canonical_json(row["given_session_id"])
    # Canonical JSON already, and put in as it stands: no number is written anew.
    fields |= {name: row[name] for name in ("attachments", "metadata") if row[name] is not None}
    body = ",".join(f'"{name}":{value}' for name, value in sorted(fields.items()))
    return f"{{{body}}}".encode()


def _detail(time: datetime, newest: int) -> str:
    latest = EPOCH + timedelta(microseconds=newest)
    return (
        f"Event time {_written(time)} came when its partition was at {_written(latest)} already: "
        f"{_lateness(latest - time)} late, more than the pipeline's streaming section allows. "
        f"It is not in memory. To take it in (this removes the dead letter): {_BACKFILL}"
    )


def _lateness(behind: timedelta) -> str:
    """`1d 2h 3m`: the parts that are not zero, to the second."""
    seconds = behind // timedelta(seconds=1)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts += [f"{count}{unit}"] * bool(count)
    return " ".join(parts) or "less than 1s"


def _written(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
