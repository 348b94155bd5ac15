from hypothesis import given
from hypothesis import strategies as st

from operators.supersession import Supersession
from tests.effort import examples
from tests.operators.samples import HashModels, at, fact, says, table
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
