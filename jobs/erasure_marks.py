"""Refused lines that were erased stay erased when the log is read again."""

from collections.abc import Collection

import pyarrow as pa

from schemas.tombstones import dead_letter_tombstone


def without_erased(dead_letters: pa.Table, tombstones: Collection[str]) -> pa.Table:
    """Dead letters that have not been erased."""
    if not tombstones:
        return dead_letters
    ids = map(str, dead_letters["dead_letter_id"].to_pylist())
    keep = [dead_letter_tombstone(letter) not in tombstones for letter in ids]
    return dead_letters.filter(pa.array(keep, pa.bool_()))
