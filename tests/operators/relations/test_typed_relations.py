import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.relations import RuleJudge, TypedRelations
from operators.relations.verdict import STRENGTH
from tests.effort import examples
from tests.operators.relations.pairs import DAY, linked, relate
from tests.operators.samples import HashModels, embeddings, fact, says, shuffled, table

BASSOON = [
    fact("a", 0, "Ann plays the bassoon in an orchestra.", session_id="s1"),
    fact("b", 9 * DAY, "Ann no longer plays the bassoon in an orchestra.", session_id="s2"),
]


def test_associated_facts_are_judged_later_to_earlier():
    assert relate(BASSOON, [linked("b", "a")]) == {("b", "a"): ("transforms", "no_longer")}
    assert relate(BASSOON) == {}, "nothing names the pair"


def test_links_of_other_things_are_passed_over():
    other = linked("b", "a") | {"source_id": "a session", "target_id": "another"}
    assert relate(BASSOON, [other]) == {}
    assert relate(BASSOON, [linked("a", "b")]) == {}, "an earlier fact says nothing of a later"


def test_duplicates_and_assistants_take_no_part():
    copy = [BASSOON[0], BASSOON[1] | {"status": "duplicate"}]
    assert relate(copy, [linked("b", "a")]) == {}
    advice = [row | {"role": "assistant"} for row in BASSOON]
    assert relate(advice, [linked("b", "a")]) == {}
    assert relate(BASSOON, [linked("b", "a"), linked("b", "a", "same")]) == {}


def test_long_messages_are_documents():
    paper = [row | {"span_end": 2001} for row in BASSOON]
    assert relate(paper, [linked("b", "a")]) == {}
    assert relate(paper, [linked("b", "a")], document_chars=3000)


def test_values_of_an_attribute_need_no_association():
    rows = [says("a", 0, "Rex", "pet"), says("b", 5, "Mia", "pet"), says("c", 9, "Tom", "pet")]
    found = relate(rows)
    assert found == {
        ("b", "a"): ("accumulates", "another_value"),
        ("c", "b"): ("accumulates", "another_value"),
    }


def test_what_supersedes_is_not_said_again_but_a_conflict_is():
    moved = [says("a", 0, "Oslo"), says("b", 9, "Rome")]
    assert relate(moved, [linked("b", "a", "supersedes"), linked("b", "a")]) == {}
    at_once = [says("a", 0, "Oslo"), says("b", 0, "Rome")]
    found = relate(at_once, [linked("b", "a", "supersedes")])
    assert found == {("b", "a"): ("contradicts", "unordered_values")}


def test_two_birthdays_contradict_at_any_time():
    rows = [says("a", 0, "4 May", "birthday"), says("b", 9, "5 May", "birthday")]
    found = relate(rows, [linked("b", "a", "supersedes")])
    assert found == {("b", "a"): ("contradicts", "unchanging_value")}


def test_an_attribute_can_imply_another():
    rows = [says("a", 0, "Tom", "partner"), says("b", 9, "married", "relationship_status")]
    assert relate(rows) == {("b", "a"): ("implies", "attribute:target_implies_source")}


def test_never_done_is_looked_up_among_all_deeds():
    rows = [
        fact("a", 0, "Ann visited the lighthouse museum."),
        fact("b", 9, "Ann has never visited the lighthouse museum."),
    ]
    assert relate(rows) == {("b", "a"): ("contradicts", "never_but_did")}


def test_neighbours_in_a_cell_are_judged_for_causes():
    rows = [
        fact("a", 0, "The storm flooded the cellar.", ordinal=0),
        fact("a", 0, "That's why Ann moved.", ordinal=1, fact_id="next"),
    ]
    found = relate(rows)
    assert found == {("a", "a"): ("causes", "thats_why:target_is_cause")}
    apart = [rows[0], rows[1] | {"cell_id": "another"}]
    assert relate(apart) == {}


def test_relations_can_be_chosen():
    judge = {"kind": "rules", "relations": ["extends"]}
    found = relate(BASSOON, [linked("b", "a")], judge=judge)
    assert found in ({}, {("b", "a"): ("extends", "shared_words")})
    assert RuleJudge().relations == STRENGTH


def test_a_missing_vector_names_the_step_to_add():
    tables = {
        "facts": table("facts", BASSOON),
        "embeddings": table("embeddings", []),
        "links": table("links", [linked("b", "a")]),
    }
    with pytest.raises(ValueError, match="embed step"):
        TypedRelations().run(tables, HashModels())


SUBJECTS = ["Ann", "Ben", "Ann's cousin"]
VERBS = ["plays", "has never played", "played", "no longer plays", "loves", "hates", "doesn't play"]
THINGS = ["the bassoon", "3 chess games", "4 chess games", "the bassoon because of Zoltan", "chess"]
spoken = st.tuples(
    *(st.sampled_from(words) for words in (SUBJECTS, VERBS, THINGS)),
    st.integers(0, 6),
    st.sampled_from(["Ann", "Ben"]),
    st.sampled_from(["x", "y"]),
)


@examples(40)
@given(st.lists(spoken, min_size=1, max_size=14), st.randoms())
def test_any_order_and_any_batch_give_the_same(said, rng):
    rows, links = [], []
    for n, (subject, verb, thing, day, speaker, conversation) in enumerate(said):
        text = f"{subject} {verb} {thing}."
        row = fact(f"m{n:02}", day * DAY, text, speaker=speaker, conversation_id=conversation)
        for other in rows:
            if other["conversation_id"] == conversation:
                ends = {"source_id": row["fact_id"], "target_id": other["fact_id"]}
                link_id = f"{row['fact_id']}{other['fact_id']}"
                where = {"conversation_id": conversation, "link_id": link_id}
                links.append(linked("b", "a") | ends | where)
        rows.append(row)
    facts = table("facts", rows)
    given_tables = {
        "facts": facts,
        "embeddings": embeddings(facts),
        "links": table("links", links),
    }
    operator = TypedRelations()
    whole = operator.run(given_tables, HashModels()).tables["links"]
    seed = rng.randrange(99)
    mixed = {
        name: shuffled(data, seed) if data.num_rows else data for name, data in given_tables.items()
    }
    assert operator.run(mixed, HashModels()).tables["links"].equals(whole)
    parts = []
    for wanted in ("x", "y"):
        mine = {
            name: pa.Table.from_pylist(
                [row for row in data.to_pylist() if row["conversation_id"] == wanted],
                schema=data.schema,
            )
            for name, data in given_tables.items()
        }
        parts.append(operator.run(mine, HashModels()).tables["links"])
    joined = pa.concat_tables(parts).sort_by([("link_id", "ascending")])
    assert joined.to_pylist() == whole.to_pylist()
    ends = [(row["source_id"], row["target_id"]) for row in whole.to_pylist()]
    assert len(set(ends)) == len(ends), "one verdict for each pair"
    order = {row["fact_id"]: (row["event_time"], row["message_id"]) for row in rows}
    assert all(order[source] > order[target] for source, target in ends)


@pytest.mark.slow
def test_a_thousand_facts_take_no_minutes():
    import time

    rng = random.Random(3)
    words = [f"{a}{b}" for a in ("bar", "cor", "del", "fen", "gol", "hul") for b in "aeioubcdfg"]
    rows = [
        fact(f"m{n}", n, f"Ann {rng.choice(VERBS[:3])} " + " ".join(rng.choices(words, k=14)))
        for n in range(1000)
    ]
    links = [linked(f"m{n}", f"m{n - k}") for n in range(4, 1000) for k in range(1, 5)]
    facts = table("facts", rows)
    tables = {"facts": facts, "embeddings": embeddings(facts), "links": table("links", links)}
    start = time.process_time()
    TypedRelations().run(tables, HashModels())
    assert time.process_time() - start < 15, "ten times the usual: not quadratic in the pairs"
