from hypothesis import given
from hypothesis import strategies as st

from operators.entity_index import EntityIndex, normalise
from schemas.ids import content_id
from tests.effort import examples
from tests.operators.samples import HashModels, at, fact, message, table


def run(facts, messages=()):
    """Entities by name, and the mentions."""
    tables = {"facts": table("facts", facts), "messages": table("messages", list(messages))}
    made = EntityIndex().run(tables, HashModels()).tables
    entities = {row["name"]: row for row in made["entities"].to_pylist()}
    return entities, made["mentions"].to_pylist()


def names(*given_names: str, **more):
    """A fact per name."""
    return [fact(f"m{n}", n, entities=[name], **more) for n, name in enumerate(given_names)]


def test_case_and_possessive_are_one_entity_named_by_its_most_frequent_spelling():
    entities, mentions = run(names("Zoe", "ZOE", "Zoe's", "zoe’s"))
    (row,) = entities.values()
    assert (row["name"], row["aliases"]) == ("Zoe", ["ZOE", "Zoe", "zoe"])
    assert row["entity_id"] == content_id("entity", "default", "zoe")
    assert (row["mention_count"], len(mentions)) == (4, 4)
    assert (row["first_seen"], row["last_seen"]) == (at(0), at(3))
    assert mentions[2]["surface"] in {"Zoe", "ZOE", "Zoe's", "zoe’s"}


def test_ties_of_spelling_go_to_the_first_in_the_alphabet():
    entities, _ = run(names("Zoe", "ZOE"))
    assert list(entities) == ["ZOE"]


def test_a_first_name_is_the_only_full_name_that_starts_with_it():
    entities, _ = run(names("Zoe", "Zoe Hall", "Zoe Hall"))
    (row,) = entities.values()
    assert row["entity_id"] == content_id("entity", "default", "zoe hall")
    assert row["aliases"] == ["Zoe", "Zoe Hall"]


def test_what_is_no_full_name_takes_no_first_name():
    found, _ = run(names("Zoe", "Zoe of Zoe", "Omar", "Omar Omar", "Kim", "Kim Today Group"))
    assert {"Zoe", "Omar", "Kim"} <= set(found)


def test_a_speaker_of_white_space_names_nobody():
    said = [message("m0", 0, " \n\t", "Zoe was here")]
    entities, mentions = run([fact("m0", 0, speaker=" \n\t", entities=["Zoe"])], said)
    assert (list(entities), len(mentions)) == (["Zoe"], 1)


def test_a_speaker_keeps_the_speakers_name():
    found, _ = run(names("Ann", "Ann Lee"), [message("a", 1, "Ann")])
    assert set(found) == {"Ann", "Ann Lee"}
    found, _ = run(names("Ann", "Ann"), [message("a", 1, "Ann Maria Lee")])
    assert found["Ann"]["aliases"] == ["Ann", "Ann Maria Lee"]


def test_with_two_full_names_it_stays_alone():
    assert set(run(names("Zoe", "Zoe Hall", "Zoe Kent"))[0]) == {"Zoe", "Zoe Hall", "Zoe Kent"}


def test_a_speaker_is_a_person_even_where_no_fact_has_the_name():
    spoken = [message("a", 3, "Ann"), message("b", 8, "Ann"), message("c", 4, "Ben")]
    entities, mentions = run([fact("b", 8, "Ben rides a bike")], spoken)
    ann, ben = entities["Ann"], entities["Ben"]
    assert (ann["kind"], ann["mention_count"], ann["session_count"]) == ("person", 0, 0)
    assert (ann["first_seen"], ann["last_seen"]) == (at(3), at(8))
    assert ben["mention_count"] == 0, "not the speaker of the fact, and not among its names"
    assert mentions == []


def test_the_speaker_of_a_fact_counts_where_the_text_has_the_name():
    rows = [fact("a", 1, "Ann paints."), fact("b", 2, "I paint."), fact("c", 3, "Annie paints.")]
    entities, mentions = run(rows, [message("a", 1)])
    assert entities["Ann"]["mention_count"] == 1
    assert [row["message_id"] for row in mentions] == ["a"]


def test_duplicates_do_not_count_and_superseded_facts_do():
    rows = names("Zoe", "Omar")
    rows[0]["status"], rows[1]["status"] = "duplicate", "superseded"
    assert set(run(rows)[0]) == {"Omar"}


def test_a_name_twice_in_a_fact_is_one_mention_with_its_first_spelling():
    _, mentions = run([fact("a", 1, entities=["Zoe's", "Zoe"])])
    (row,) = mentions
    assert row["surface"] == "Zoe's"


def test_sessions_are_counted_once():
    rows = names("Zoe", "Zoe", "Zoe")
    rows[2]["session_id"] = "t"
    assert run(rows)[0]["Zoe"]["session_count"] == 2


def test_conversations_do_not_share_spellings():
    rows = names("Zoe", "Zoe") + names("Zoe Hall", conversation_id="d")
    entities, _ = run(rows)
    assert entities["Zoe"]["entity_id"] == content_id("entity", "default", "zoe")


def test_normal_form():
    assert normalise(" Zoe   Hall's ") == "zoe hall"
    assert normalise("the Joneses'") == "the joneses"
    assert normalise("'s") == "'s"


@examples(40)
@given(
    st.lists(st.sampled_from(["Zoe", "zoe", "Zoe Hall", "Zoe Kent", "Ben's", "Ben"]), max_size=12),
    st.randoms(),
)
def test_any_order_gives_the_same(given_names, rng):
    rows = names(*given_names)
    expected = run(rows, [message("a", 1, "Ben")])
    rng.shuffle(rows)
    assert run(rows, [message("a", 1, "Ben")]) == expected
