import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.supersession import Supersession
from tests.effort import examples
from tests.operators.samples import HashModels, at, fact, says, table
from tests.operators.verdicts.asked import verdict
from tests.reference.supersession_oracle import validity


def run(rows):
    """Rows after the fold by message id, and the links."""
    made = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables
    return {row["message_id"]: row for row in made["facts"].to_pylist()}, made["links"].to_pylist()


def test_a_new_value_closes_the_former():
    rows = [says("a", 1, "Rome"), says("b", 5, "Oslo")]
    out, (link,) = run(rows)
    assert (out["a"]["status"], out["b"]["status"]) == ("superseded", "active")
    assert (out["a"]["valid_from"], out["a"]["valid_to"]) == (at(1), at(5))
    assert (out["b"]["valid_from"], out["b"]["valid_to"]) == (at(5), None)
    assert out["a"]["superseded_by"] == out["b"]["fact_id"] == link["source_id"]
    assert link["target_id"] == out["a"]["fact_id"]
    assert (link["type"], link["score"]) == ("supersedes", 1.0)


def test_equal_values_in_sequence_stay_together_and_end_together():
    rows = [says("a", 1, "Rome"), says("b", 2, "rome."), says("c", 9, "Oslo")]
    out, links = run(rows)
    assert [out[k]["valid_from"] for k in "ab"] == [at(1), at(2)]
    assert [out[k]["valid_to"] for k in "ab"] == [at(9), at(9)]
    assert len(links) == 2


def test_a_value_that_comes_back_opens_a_new_period():
    out, _ = run([says("a", 1, "Rome"), says("b", 2, "Oslo"), says("c", 3, "Rome")])
    assert [out[k]["status"] for k in "abc"] == ["superseded", "superseded", "active"]
    assert out["b"]["superseded_by"] == out["c"]["fact_id"]


def test_a_late_fact_splits_the_interval():
    first, last, late = says("a", 1, "Rome"), says("c", 9, "Oslo"), says("b", 5, "Bonn")
    out, _ = run([first, last, late])
    assert (out["a"]["valid_to"], out["b"]["valid_to"]) == (at(5), at(9))


def test_set_valued_attributes_and_other_subjects_are_left_alone():
    rows = [says("a", 1, "cat", "pet"), says("b", 2, "dog", "pet"), says("c", 3, "Rome")]
    rows.append(says("d", 4, "Oslo", subject="Ben"))
    out, links = run(rows)
    assert not links
    assert all(row["status"] == "active" and row["valid_to"] is None for row in out.values())
    assert out["a"]["valid_from"] == at(1)


def test_since_a_date_in_the_past_but_never_before_the_former_value():
    rows = [
        says("a", 10, "Rome", occurred_start=at(2)),
        says("b", 20, "Oslo", occurred_start=at(0)),
    ]
    out, _ = run(rows)
    assert out["a"]["valid_from"] == at(2)
    assert out["a"]["valid_to"] == out["b"]["valid_from"] == at(2), "no negative interval"
    planned, _ = run([says("a", 10, "Rome", occurred_start=at(50))])
    assert planned["a"]["valid_from"] == at(10)


def test_duplicates_have_no_validity_and_supersede_nothing():
    copy = says("b", 5, "Oslo", status="duplicate", canonical_id="x")
    out, links = run([says("a", 1, "Rome"), copy])
    assert not links
    assert (out["b"]["status"], out["b"]["valid_from"]) == ("duplicate", None)
    assert out["b"]["canonical_id"] == "x"


def test_other_facts_are_valid_from_when_they_were_said():
    out, _ = run([fact("a", 3, occurred_start=at(1))])
    assert (out["a"]["status"], out["a"]["valid_from"]) == ("active", at(3))


def test_it_is_a_function_of_the_statements_not_of_former_verdicts():
    rows = [says("a", 1, "Rome", status="superseded", valid_to=at(2), superseded_by="gone")]
    out, _ = run(rows)
    assert (out["a"]["status"], out["a"]["superseded_by"]) == ("active", None)


said = st.tuples(
    st.integers(0, 8),
    st.sampled_from(["Rome", "ROME", "Oslo", "Bonn"]),
    st.sampled_from(["home_city", "employer", "pet"]),
    st.sampled_from(["Ann", "ann", "Ben"]),
    st.sampled_from([None, None, -3, 4]),
    st.sampled_from(["active", "active", "active", "duplicate"]),
)


@examples(80)
@given(st.lists(said, max_size=14), st.randoms())
def test_any_insertion_order_equals_the_oracle(statements, rng):
    rows = [
        says(
            f"m{n:02}",
            minute,
            value,
            attribute,
            subject=subject,
            status=status,
            occurred_start=None if since is None else at(since),
        )
        for n, (minute, value, attribute, subject, since, status) in enumerate(statements)
    ]
    expected = validity(rows, {"home_city", "employer"})
    rng.shuffle(rows)
    out, _ = run(rows)
    names = ("status", "valid_from", "valid_to", "superseded_by")
    assert {row["fact_id"]: tuple(row[name] for name in names) for row in out.values()} == expected


def judged(rows, *verdicts):
    """Rows after the fold by message id, the links and the counters."""
    tables = {"facts": table("facts", rows), "verdicts": table("verdicts", verdicts)}
    result = Supersession(judge="verdicts").run(tables, HashModels())
    out = {row["message_id"]: row for row in result.tables["facts"].to_pylist()}
    return out, result.tables["links"].to_pylist(), result.counters


TEA = [fact("a", 1, "Ann drinks tea"), fact("b", 5, "Ann gave up tea")]


def test_verdicts_are_read_only_where_they_judge():
    assert Supersession().reads() == ("facts",)
    assert Supersession(judge="verdicts").reads() == ("facts", "verdicts")
    out, links = run(TEA)
    assert not links
    assert out["a"]["status"] == "active"


def test_a_model_says_that_a_later_fact_replaces_an_earlier_one():
    out, (link,), counters = judged(TEA, verdict("b", "a", "replaces", 0.7123))
    assert (out["a"]["status"], out["b"]["status"]) == ("superseded", "active")
    assert (out["a"]["valid_from"], out["a"]["valid_to"]) == (at(1), at(5))
    assert out["a"]["superseded_by"] == out["b"]["fact_id"] == link["source_id"]
    assert (link["type"], link["method"], link["score"]) == ("supersedes", "model", 0.7123)
    assert counters["superseded"] == counters["superseded_by_model"] == 1
    assert counters["replaces_refused"] == 0


@pytest.mark.parametrize("said", ["same", "transforms", "contradicts", "unrelated"])
def test_no_other_verdict_ends_a_fact(said):
    _, links, _ = judged(TEA, verdict("b", "a", said))
    assert not links


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({}, {"speaker": "Ben"}),
        (
            {"subject": "Ann", "attribute": "role", "value": "x"},
            {"subject": "Ben", "attribute": "role", "value": "y"},
        ),
        (
            {"subject": "Ann", "attribute": "role", "value": "x"},
            {"subject": "Ann", "attribute": "office", "value": "y"},
        ),
        (
            {"subject": "Ann", "attribute": "pet", "value": "Rex"},
            {"subject": "Ann", "attribute": "pet", "value": "Tom"},
        ),
        (
            {"subject": "Ann", "attribute": "employer", "value": "Orb"},
            {"subject": "Ann", "attribute": "employer", "value": "orb."},
        ),
        ({"kind": "experiential", "occurred_start": at(-9), "occurred_end": at(0)}, {}),
    ],
)
def test_what_cannot_be_replaced_stays_and_is_counted(earlier, later):
    rows = [TEA[0] | earlier, TEA[1] | later]
    out, links, counters = judged(rows, verdict("b", "a", "replaces"))
    assert not links
    assert out["a"]["status"] == "active"
    assert (counters["superseded_by_model"], counters["replaces_refused"]) == (0, 1)


def test_what_may_be_replaced():
    role = {"subject": "Ann", "attribute": "role"}
    changed = [TEA[0] | role | {"value": "x"}, TEA[1] | role | {"value": "y"}]
    liked = {"subject": "Ann", "attribute": "likes", "value": "tea"}
    plan = {"kind": "experiential", "occurred_start": at(50), "occurred_end": at(90)}
    for rows in (
        changed,
        [TEA[0] | liked, TEA[1] | liked],
        [TEA[0] | liked, TEA[1]],
        [TEA[0] | plan, TEA[1]],
    ):
        out, _, _ = judged(rows, verdict("b", "a", "replaces"))
        assert out["a"]["status"] == "superseded"


def test_the_first_end_counts_and_a_rule_before_a_verdict():
    moved = [says("a", 1, "Rome"), fact("b", 4, "Ann left Rome"), says("c", 9, "Oslo")]
    out, (link,), _ = judged(moved, verdict("b", "a", "replaces"), verdict("c", "a", "replaces"))
    assert (out["a"]["valid_to"], link["method"]) == (at(4), "model")
    out, (link,), counters = judged(moved, verdict("c", "a", "replaces"))
    assert (out["a"]["valid_to"], link["method"]) == (at(9), "functional_attribute")
    assert counters["superseded_by_model"] == 0
    twice = [*TEA, fact("c", 3, "Ann dislikes tea")]
    out, (link,), _ = judged(twice, verdict("b", "a", "replaces"), verdict("c", "a", "replaces"))
    assert (out["a"]["valid_to"], link["source_id"]) == (at(3), out["c"]["fact_id"])


def test_no_interval_is_negative():
    since = says("b", 5, "Oslo", occurred_start=at(-9))
    out, _, _ = judged([TEA[0], since], verdict("b", "a", "replaces"))
    assert out["a"]["valid_from"] == out["a"]["valid_to"] == at(1)


def test_what_a_duplicate_replaces_or_is_replaced_in_is_its_canonical_fact():
    first, ended = TEA
    again = fact("c", 3, "Ann has tea", status="duplicate", canonical_id=first["fact_id"])
    out, (link,), _ = judged([first, ended, again], verdict("b", "c", "replaces"))
    assert link["target_id"] == first["fact_id"]
    assert (out["a"]["status"], out["c"]["status"]) == ("superseded", "duplicate")
    copy = fact("d", 9, "No tea", status="duplicate", canonical_id=ended["fact_id"])
    out, (link,), _ = judged([first, ended, copy], verdict("d", "a", "replaces"))
    assert (link["source_id"], out["a"]["valid_to"]) == (ended["fact_id"], at(5))
    back = fact("d", 9, "Tea", status="duplicate", canonical_id=first["fact_id"])
    _, links, counters = judged([first, ended, back], verdict("d", "b", "replaces"))
    assert not links
    assert counters["replaces_refused"] == 1


kinds_of_verdict = st.sampled_from(["replaces", "replaces", "same", "unrelated"])


@examples(40)
@given(
    st.lists(said, min_size=2, max_size=10),
    st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), kinds_of_verdict),
    st.randoms(),
)
def test_any_order_of_facts_and_verdicts_gives_the_same(statements, verdicts, rng):
    rows = [
        says(f"m{n:02}", minute, value, attribute, subject=subject, status=status)
        for n, (minute, value, attribute, subject, _, status) in enumerate(statements)
    ]
    given_verdicts = [
        verdict(f"m{later:02}", f"m{earlier:02}", name)
        for (later, earlier), name in verdicts.items()
        if later < len(rows) and earlier < len(rows)
    ]
    expected = judged(rows, *given_verdicts)
    rng.shuffle(rows)
    rng.shuffle(given_verdicts)
    assert judged(rows, *given_verdicts) == expected
    for row in expected[0].values():
        if row["valid_to"] is not None:
            assert row["valid_from"] <= row["valid_to"]
            assert row["status"] == "superseded"
