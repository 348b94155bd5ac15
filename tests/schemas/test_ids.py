"""Ids: equal for equal parts, different for different ones, whatever the type."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import canonical_bytes, content_hash, content_id

PART = st.one_of(st.none(), st.integers(), st.text(max_size=6), st.binary(max_size=6))
PARTS = st.lists(PART, max_size=4)


def typed(parts: list[object]) -> list[tuple[type, object]]:
    return [(type(part), part) for part in parts]


@given(PARTS, PARTS)
def test_different_parts_have_different_bytes(one, two):
    assert (canonical_bytes(one) == canonical_bytes(two)) == (typed(one) == typed(two))


def test_the_cut_between_parts_counts():
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash("1") != content_hash(1)
    assert content_hash(None) != content_hash("")


def test_an_id_names_its_kind_and_never_changes():
    assert content_id("fact", "a", 1) == "fact_" + content_hash("fact", "a", 1)
    # A changed encoding would give every memory ever made another id.
    assert content_id("fact", "a", 1, None, b"x") == "fact_258d65fe9839f6420534b54cc5104be0"
