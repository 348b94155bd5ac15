import pytest

from operators.relations import TypedRelations, VerdictJudge
from operators.relations.verdict import STRENGTH
from tests.operators.relations.pairs import DAY, linked, pair, relate
from tests.operators.samples import HashModels, embeddings, fact, says, table
from tests.operators.verdicts.asked import verdict

BASSOON = [
    fact("a", 0, "Ann plays the bassoon in an orchestra.", session_id="s1"),
    fact("b", 9 * DAY, "Ann no longer plays the bassoon in an orchestra.", session_id="s2"),
    fact("c", 10 * DAY, "Ann sold her instrument.", session_id="s2"),
]
LINKS = [linked("b", "a")]
JUDGE = {"kind": "verdicts"}


def test_verdicts_are_read_only_where_they_judge():
    assert TypedRelations().reads() == ("facts", "embeddings", "links")
    assert TypedRelations(judge=JUDGE).reads() == ("facts", "embeddings", "links", "verdicts")
    facts = table("facts", BASSOON)
    tables = {"facts": facts, "embeddings": embeddings(facts), "links": table("links", LINKS)}
    assert TypedRelations().run(tables, HashModels()).counters["out"] == 1
    with pytest.raises(KeyError, match="verdicts"):
        TypedRelations(judge=JUDGE).run(tables, HashModels())


@pytest.mark.parametrize("said", STRENGTH)
def test_a_recorded_verdict_is_the_relation(said):
    found = relate(BASSOON, LINKS, [verdict("b", "a", said)], judge=JUDGE)
    assert found == {("b", "a"): (said, "model")}


@pytest.mark.parametrize("said", ["same", "replaces", "unrelated"])
def test_some_verdicts_are_no_relation(said):
    assert relate(BASSOON, LINKS, [verdict("b", "a", said)], judge=JUDGE) == {}


def test_pairs_with_a_verdict_need_no_association():
    found = relate(BASSOON, [], [verdict("c", "b", "causes")], judge=JUDGE)
    assert found == {("c", "b"): ("causes", "model")}
    stale = [verdict("b", "c", "causes"), verdict("c", "gone", "causes")]
    assert relate(BASSOON, [], stale, judge=JUDGE) == {}


def test_pairs_without_a_verdict_are_judged_by_rules_or_not_at_all():
    said = [verdict("c", "b", "causes")]
    by_rule = {("b", "a"): ("transforms", "no_longer")}
    by_model = {("c", "b"): ("causes", "model")}
    assert relate(BASSOON, LINKS, said, judge=JUDGE) == by_rule | by_model
    alone = {"kind": "verdicts", "otherwise": "none"}
    assert relate(BASSOON, LINKS, said, judge=alone) == by_model


def test_duplicates_and_what_supersedes_take_no_part():
    said = [verdict("b", "a", "transforms")]
    copy = [BASSOON[0], BASSOON[1] | {"status": "duplicate"}]
    assert relate(copy, LINKS, said, judge=JUDGE) == {}
    assert relate(BASSOON, [*LINKS, linked("b", "a", "supersedes")], said, judge=JUDGE) == {}
    at_once = [says("a", 0, "Oslo"), says("b", 0, "Rome")]
    ended = [linked("b", "a", "supersedes")]
    found = relate(at_once, ended, [verdict("b", "a", "replaces")], judge=JUDGE)
    assert found == {("b", "a"): ("contradicts", "unordered_values")}


def test_the_score_is_the_cosine():
    one = pair("Ann has a dog.", "Ann has a black dog.", 0.71, recorded="refines")
    (found,) = VerdictJudge(otherwise="none").judge([one], HashModels())
    assert found == ("refines", 0.71, "model")
