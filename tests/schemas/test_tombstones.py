"""Ids of tombstones are recorded: they must not change."""

from schemas.ids import content_id
from schemas.tombstones import dead_letter_tombstone, tombstone_id


def test_the_ids_are_those_of_recorded_tombstones():
    assert tombstone_id("default", "c1", "m2") == content_id("tombstone", "default", "c1", "m2")
    assert tombstone_id("t", "c", "m") == "tombstone_3585e6a013a643a3a3ce27a82b10dcf1"
    assert dead_letter_tombstone("dead_1") == "tombstone_35f5ece020b9e55b4cc6f4ff7b1d0450"
