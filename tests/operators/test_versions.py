import random
from collections import defaultdict

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.versions import resolve_versions
from schemas.tables import TABLES
from tests.effort import examples

SCHEMA = TABLES["messages"].schema
Row = dict[str, object]


def version(
    content: str, revision: int = 0, message_id: str = "m", conversation_id: str = "c"
) -> Row:
    """A version whose content (hash, text, time) is named by one letter."""
    return {
        "tenant": "t",
        "conversation_id": conversation_id,
        "message_id": message_id,
        "content_hash": content,
        "revision": revision,
        "is_current": True,
        "conflict": False,
        "speaker": "Ana",
        "role": None,
        "timestamp": ord(content) * 60_000_000,
        "seq": 0,
        "text": f"text {content}",
        "given_session_id": None,
        "session_id": None,
        "attachments": None,
        "metadata": None,
    }


def resolve(rows: list[Row]) -> list[Row]:
    table = resolve_versions(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert table.schema.equals(SCHEMA)
    return table.to_pylist()


def short(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(r["content_hash"], r["revision"], r["is_current"], r["conflict"]) for r in rows]


def test_no_rows() -> None:
    assert resolve([]) == []


def test_the_same_message_twice_is_one_message() -> None:
    assert short(resolve([version("a"), version("a")])) == [("a", 0, True, False)]


def test_higher_revision_wins_over_larger_hash() -> None:
    rows = resolve([version("z"), version("a", 1)])
    assert short(rows) == [("a", 1, True, False), ("z", 0, False, False)]


def test_a_tie_goes_to_the_larger_hash_and_is_a_conflict_on_every_version() -> None:
    rows = resolve([version("b", 1), version("a", 1), version("c", 0)])
    assert short(rows) == [("a", 1, False, True), ("b", 1, True, True), ("c", 0, False, True)]


def test_going_back_to_an_old_text_takes_a_higher_revision() -> None:
    rows = resolve([version("a", 0), version("b", 1), version("a", 2)])
    assert short(rows) == [("a", 2, True, False), ("b", 1, False, False)]


def test_session_stays_with_the_current_version_only() -> None:
    rows = resolve([version("a") | {"session_id": "s"}, version("a"), version("b", 1)])
    assert [r["session_id"] for r in rows] == [None, None]
    rows = resolve([version("a") | {"session_id": "s"}, version("a")])
    assert [r["session_id"] for r in rows] == ["s"]


def oracle(rows: list[Row]) -> list[Row]:
    """The rule, message by message."""
    groups: dict[tuple[object, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        key = (row["tenant"], row["conversation_id"], row["message_id"])
        seen = groups[key].get(str(row["content_hash"]))
        if seen is None or row["revision"] > seen["revision"]:  # pyright: ignore
            groups[key][str(row["content_hash"])] = row
    out: list[Row] = []
    for versions in groups.values():
        top = max(v["revision"] for v in versions.values())  # pyright: ignore
        tops = sorted(h for h, v in versions.items() if v["revision"] == top)
        for content, v in versions.items():
            out.append(v | {"is_current": content == tops[-1], "conflict": len(tops) > 1})
    order = ("tenant", "conversation_id", "timestamp", "seq", "message_id", "content_hash")
    return sorted(out, key=lambda r: tuple(r[k] for k in order))  # pyright: ignore


VERSIONS = st.builds(
    version,
    content=st.sampled_from("abc"),
    revision=st.integers(0, 2),
    message_id=st.sampled_from(["m1", "m2"]),
    conversation_id=st.sampled_from(["c1", "c2"]),
)


@given(st.lists(VERSIONS, max_size=12), st.randoms(use_true_random=False), st.integers(0, 12))
@examples(80)
def test_equals_the_oracle_in_any_order_and_any_batching(
    rows: list[Row], rng: random.Random, cut: int
) -> None:
    expected = resolve(rows)
    plain = pa.Table.from_pylist(oracle(rows), schema=SCHEMA).to_pylist()
    assert expected == plain
    shuffled = rng.sample(rows, len(rows))
    assert resolve(shuffled) == expected
    assert resolve(resolve(shuffled[:cut]) + resolve(shuffled[cut:])) == expected
