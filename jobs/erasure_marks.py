"""Refused lines that were erased stay erased when the log is read again."""

from collections.abc import Collection

import pyarrow as pa

from schemas.ids import content_id


def dead_letter_tombstone(dead_letter_id: str) -> str:
    """Tombstone of a refused line; messages have `pipelines.slice_build.tombstone_id`."""
    return content_id("tombstone", dead_letter_id)


def without_erased(dead_letters: pa.Table, tombstones: Collection[str]) -> pa.Table:
    """Dead letters that have not been erased."""
    if not tombstones:
        return dead_letters
    ids = map(str, dead_letters["dead_letter_id"].to_pylist())
    keep = [dead_letter_tombstone(letter) not in tombstones for letter in ids]
    return dead_letters.filter(pa.array(keep, pa.bool_()))
