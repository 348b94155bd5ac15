"""Tombstones: hashes that stand for what was erased, so that it stays erased.

They are all that is kept of it. Whoever reads the log again drops what has one.
"""

from schemas.ids import content_id


def tombstone_id(tenant: str, conversation: str, message: str) -> str:
    """Tombstone of an erased message, whatever its version."""
    return content_id("tombstone", tenant, conversation, message)


def dead_letter_tombstone(dead_letter_id: str) -> str:
    """Tombstone of an erased dead letter."""
    return content_id("tombstone", dead_letter_id)


def line_tombstone(line: bytes) -> str:
    """Tombstone of an erased line that could not be read, whatever the reason."""
    return content_id("tombstone", line)
