"""Which of the messages that came are let in: not the erased ones, not those too late."""

from collections import Counter
from collections.abc import Collection

import pyarrow as pa

from schemas.tombstones import dead_letter_tombstone, tombstone_id
from transforms.event_time.lateness import (
    EVENT_TIME_STEP,
    TooLate,
    too_late_ids,
    too_late_letters,
)
from transforms.frame import SCOPE, Counters

_VERSION = (*SCOPE, "message_id", "content_hash")
_Version = tuple[str, str, str, str]


def without_tombstones(messages: pa.Table, tombstones: Collection[str]) -> pa.Table:
    """Messages that have not been erased."""
    if not tombstones:
        return messages
    return messages.filter(pa.array([not e for e in _erased(messages, tombstones)], pa.bool_()))


def kept_out(
    late: TooLate, known: pa.Table, tombstones: Collection[str]
) -> tuple[pa.Table, Counters]:
    """Dead letters of the messages that came too late, and what became of each message.

    Args:
        late: messages that came too late.
        known: versions that are in memory, or come in now: further deliveries of these are
            repetitions, early or late.
        tombstones: ids of what was erased.

    In = repeated + erased + dead letters.
    """
    revisions = _revisions(known)
    ids = too_late_ids(late.rows)
    erased = _erased(late.rows, tombstones)
    counts = Counter({"in": len(ids), "repeated": 0, "erased": 0, "dead_letters": 0})
    kept: list[int] = []
    for place, (version, revision) in enumerate(_versions(late.rows)):
        if erased[place] or dead_letter_tombstone(ids[place]) in tombstones:
            counts["erased"] += 1
        elif revisions.get(version, -1) >= revision:
            counts["repeated"] += 1
        else:
            counts["dead_letters"] += 1
            kept.append(place)
    return too_late_letters(late.take(kept)), {EVENT_TIME_STEP: dict(counts)}


def healed_letters(accepted: pa.Table, open_failures: Collection[str]) -> list[str]:
    """Dead letters of messages that came too late once, and are let in now."""
    if not open_failures:
        return []
    return sorted({letter for letter in too_late_ids(accepted) if letter in open_failures})


def _erased(messages: pa.Table, tombstones: Collection[str]) -> list[bool]:
    if not tombstones:
        return [False] * messages.num_rows
    columns = (messages[name].to_pylist() for name in (*SCOPE, "message_id"))
    return [tombstone_id(*ids) in tombstones for ids in zip(*columns, strict=True)]


def _revisions(known: pa.Table) -> dict[_Version, int]:
    """The highest revision that each version is known with: a higher one is news."""
    highest: dict[_Version, int] = {}
    for version, revision in _versions(known):
        highest[version] = max(revision, highest.get(version, -1))
    return highest


def _versions(messages: pa.Table) -> list[tuple[_Version, int]]:
    columns = (messages[name].to_pylist() for name in (*_VERSION, "revision"))
    return [((t, c, m, h), r) for t, c, m, h, r in zip(*columns, strict=True)]
