import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.near_duplicates import NearDuplicates
from operators.statements import exact_form, guard
from schemas.ids import content_id
from tests.effort import examples
from tests.operators.samples import HashModels, at, embeddings, fact, says, shuffled, table
from tests.operators.verdicts.asked import verdict


def angle(degrees: float):
    """A unit vector in the plane."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def run(rows, angles=None, verdicts=(), **parameters):
    """Duplicates as {message of the duplicate: (message of the canonical fact, method)}."""
    facts = table("facts", rows)
    vectors = embeddings(facts, lambda text: angle((angles or {}).get(text, 0)))
    tables = {"facts": facts, "embeddings": vectors, "verdicts": table("verdicts", verdicts)}
    made = NearDuplicates(**{"overlap": 0, **parameters}).run(tables, HashModels()).tables
    by_id = {row["fact_id"]: row for row in made["facts"].to_pylist()}
    out = {}
    for link in made["links"].to_pylist():
        source, target = by_id[link["source_id"]], by_id[link["target_id"]]
        assert source["status"] == "duplicate"
        assert source["canonical_id"] == target["fact_id"]
        assert target["status"] == "active", "a canonical fact is never a duplicate"
        assert link["link_id"] == content_id("link", "same", source["fact_id"], target["fact_id"])
        out[source["message_id"]] = (target["message_id"], link["method"])
    assert len(out) == sum(row["status"] == "duplicate" for row in by_id.values())
    return out


def test_equal_texts_but_for_case_spacing_and_punctuation():
    rows = [fact("b", 2, "she loves  TEA"), fact("a", 1, "She loves tea!")]
    assert run(rows) == {"b": ("a", "exact")}


def test_near_texts_by_cosine():
    rows = [fact("a", 1, "rides a bike"), fact("b", 2, "goes cycling")]
    assert run(rows, {"rides a bike": 0, "goes cycling": 20}) == {"b": ("a", "cosine")}
    assert run(rows, {"rides a bike": 0, "goes cycling": 25}) == {}


def test_the_threshold_is_compared_after_rounding():
    rows = [fact("a", 1, "rides a bike"), fact("b", 2, "goes cycling")]
    angles = {"rides a bike": 0, "goes cycling": float(np.degrees(np.arccos(0.92996)))}
    assert run(rows, angles) == {"b": ("a", "cosine")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ate 3 eggs", "ate 4 eggs"),
        ("ate three eggs", "ate four eggs"),
        ("has a dog", "does not have a dog"),
        ("has eaten", "hasn't eaten"),
        ("went with Zoe to Oslo", "went with Omar to Oslo"),
        ("then Zoe paid Omar", "then Omar paid Zoe"),
        ("really loves the sea", "really hates the sea"),
        ("Monday: writes at home", "Friday: writes at home"),
        ("paid 3.50 for it", "paid 350 for it"),
    ],
)
def test_close_vectors_of_different_statements_are_not_merged(one, other):
    assert run([fact("a", 1, one), fact("b", 2, other)], exact=False) == {}
    assert run([fact("a", 1, one), fact("b", 2, other)]) == {}


def test_speaker_occurrence_and_value_must_agree():
    text = "goes there"
    assert run([fact("a", 1, text), fact("b", 2, text, speaker="Ben")]) == {}
    day = {"occurred_start": at(0), "occurred_end": at(1440)}
    next_day = {"occurred_start": at(1440), "occurred_end": at(2880)}
    assert run([fact("a", 1, text, **day), fact("b", 2, text, **next_day)]) == {}
    assert run([fact("a", 1, text, **day), fact("b", 2, text)]) == {}
    overlap = {"occurred_start": at(700), "occurred_end": at(2000)}
    assert run([fact("a", 1, text, **day), fact("b", 2, text, **overlap)]) == {"b": ("a", "cosine")}
    assert run([says("a", 1, "red", "pet"), says("b", 2, "blue", "pet")]) == {}


def test_a_value_that_came_back_is_news():
    rows = [says("a", 1, "Rome"), says("b", 2, "Rome"), says("c", 3, "Oslo"), says("d", 4, "Rome")]
    assert run(rows) == {"b": ("a", "exact")}
    assert run([rows[0], rows[3]]) == {"d": ("a", "exact")}


def test_duplicates_do_not_drift_along_a_chain():
    texts = ["tea at dawn", "tea near dawn", "tea around dawn", "tea about dawn"]
    rows = [fact(str(i), i, text) for i, text in enumerate(texts)]
    angles = {text: 15 * i for i, text in enumerate(texts)}
    assert run(rows, angles) == {"1": ("0", "cosine"), "3": ("2", "cosine")}


def test_the_nearest_canonical_fact_wins_and_ties_go_to_the_earlier():
    texts = ["tea at dawn", "tea near dawn", "tea around dawn"]
    rows = [fact(str(i), i, text) for i, text in enumerate(texts)]
    assert run(rows, dict(zip(texts, (0, 30, 18), strict=True)))["2"] == ("1", "cosine")
    assert run(rows, dict(zip(texts, (0, 30, 15), strict=True)))["2"] == ("0", "cosine")


def test_an_exact_repetition_of_a_near_duplicate_points_to_the_canonical_fact():
    rows = [
        fact("a", 1, "rides a bike"),
        fact("b", 2, "goes cycling"),
        fact("c", 3, "Goes cycling"),
    ]
    found = run(rows, {"rides a bike": 0, "goes cycling": 10, "Goes cycling": 10})
    assert found == {"b": ("a", "cosine"), "c": ("a", "cosine")}


def test_near_duplicates_share_most_of_their_words():
    rows = [fact("a", 1, "rides a bike to town"), fact("b", 2, "rides a bike to work")]
    assert run(rows, overlap=0.6) == {"b": ("a", "cosine")}
    assert run(rows, overlap=0.7) == {}


def test_conversations_are_apart():
    rows = [fact("a", 1, "rides a bike"), fact("b", 2, "rides a bike", conversation_id="d")]
    assert run(rows) == {}


def test_a_missing_vector_names_the_step_to_add():
    tables = {"facts": table("facts", [fact("a", 1)]), "embeddings": table("embeddings", [])}
    with pytest.raises(ValueError, match="embed step"):
        NearDuplicates().run(tables, HashModels())


@examples(40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 80)), max_size=25), st.randoms())
def test_any_order_gives_the_same_and_equals_a_plain_loop(points, rng):
    rows = [fact(f"m{n:02}", minute, f"tea {'a' * n}") for n, (minute, _) in enumerate(points)]
    angles = {row["text"]: point[1] for row, point in zip(rows, points, strict=True)}
    expected, canonical = {}, []
    for row in sorted(rows, key=lambda row: (row["event_time"], row["message_id"])):
        scored = [
            (round(float(np.cos(np.radians(angles[row["text"]] - angles[c["text"]]))), 4), c)
            for c in canonical
        ]
        best = max(scored, key=lambda pair: pair[0], default=None)
        if best and best[0] >= 0.93:
            expected[row["message_id"]] = (best[1]["message_id"], "cosine")
        else:
            canonical.append(row)
    rng.shuffle(rows)
    assert run(rows, angles) == expected


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(1)
    facts = table("facts", [fact(f"m{n:03}", n, f"tea {'b' * n}") for n in range(150)])
    places = {f"tea {'b' * n}": angle(rng.uniform(0, 300)) for n in range(150)}
    tables = {"facts": facts, "embeddings": embeddings(facts, places.__getitem__)}
    whole = NearDuplicates(overlap=0).run(tables, HashModels()).tables
    monkeypatch.setattr("operators.near_duplicates._BLOCK", 7)
    mixed = {**tables, "facts": shuffled(facts, 3)}
    parts = NearDuplicates(overlap=0).run(mixed, HashModels()).tables
    assert all(whole[name].equals(parts[name]) for name in whole)
    assert 0 < whole["links"].num_rows < 150


def test_five_thousand_facts_of_one_speaker_without_any_guard_take_seconds_at_most():
    rng = np.random.default_rng(2)
    words = ["tea " + f"{n:012b}".translate({48: "a", 49: "b"}) for n in range(5000)]
    facts = table("facts", [fact(f"m{n}", n, word) for n, word in enumerate(words)])
    points = rng.normal(size=(5000, 384)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    where = iter(points)
    tables = {"facts": facts, "embeddings": embeddings(facts, lambda _: next(where))}
    start = time.process_time()
    NearDuplicates().run(tables, HashModels())
    assert time.process_time() - start < 8, "several times the usual, for busy machines"


def test_exact_form_keeps_signs_that_carry_sense():
    assert exact_form("Well , she SAID so…") == exact_form("well she said so")
    assert exact_form("3.50") != exact_form("350")
    assert exact_form("C++") != exact_form("C")
    assert exact_form("??") == "??"


def test_guard_ignores_the_pronoun_and_the_first_word():
    assert guard("I think I sleep", []) == guard("They think we sleep", [])


TEA = [fact("a", 1, "tea at dawn"), fact("b", 2, "a warm drink"), fact("c", 3, "cup of tea")]
FAR = {"tea at dawn": 0, "a warm drink": 50, "cup of tea": 100}


def judged(rows, verdicts, angles=None, **parameters):
    return run(rows, angles, verdicts, judge="verdicts", **parameters)


def test_verdicts_are_read_only_where_they_judge():
    assert NearDuplicates().reads() == ("facts", "embeddings")
    assert NearDuplicates(judge="verdicts").reads() == ("facts", "embeddings", "verdicts")
    assert run(TEA, FAR, [verdict("b", "a", "same")]) == {}
    tables = {"facts": table("facts", TEA), "embeddings": embeddings(table("facts", TEA))}
    with pytest.raises(KeyError, match="verdicts"):
        NearDuplicates(judge="verdicts").run(tables, HashModels())


def test_a_model_calls_facts_the_same_and_keeps_near_ones_apart():
    assert judged(TEA, [verdict("b", "a", "same")], FAR) == {"b": ("a", "model")}
    near = {"tea at dawn": 0, "a warm drink": 5, "cup of tea": 100}
    assert judged(TEA, [], near) == {"b": ("a", "cosine")}
    assert judged(TEA, [verdict("b", "a", "refines")], near) == {}


def test_pairs_without_a_verdict_are_judged_by_rules():
    near = {"tea at dawn": 0, "a warm drink": 5, "cup of tea": 10}
    found = judged(TEA, [verdict("b", "a", "unrelated")], near)
    assert found == {"c": ("b", "cosine")}
    copy = fact("d", 4, "Tea at dawn!")
    assert judged([TEA[0], copy], [verdict("d", "a", "unrelated")]) == {"d": ("a", "exact")}


def test_what_is_the_same_as_a_duplicate_goes_where_it_does():
    chain = [verdict("b", "a", "same"), verdict("c", "b", "same")]
    assert judged(TEA, chain, FAR) == {"b": ("a", "model"), "c": ("a", "model")}
    near = {"tea at dawn": 0, "a warm drink": 5, "cup of tea": 100}
    found = judged(TEA, [verdict("c", "b", "same")], near)
    assert found == {"b": ("a", "cosine"), "c": ("a", "model")}
    again = [*TEA, fact("d", 4, "Cup of tea!")]
    assert judged(again, [verdict("c", "a", "same")], FAR)["d"] == ("a", "model")


def test_of_several_the_earliest_canonical_fact_is_taken():
    both = [verdict("c", "b", "same"), verdict("c", "a", "same")]
    assert judged(TEA, both, FAR) == {"c": ("a", "model")}


@pytest.mark.parametrize(
    ("earlier", "later", "score"),
    [
        ({}, {}, 0.59),
        ({}, {"occurred_start": at(0), "occurred_end": at(1)}, 0.9),
        (
            {"occurred_start": at(0), "occurred_end": at(1)},
            {"occurred_start": at(1), "occurred_end": at(2)},
            0.9,
        ),
        ({}, {"subject": "Ann", "attribute": "pet", "value": "Rex"}, 0.9),
        (
            {"subject": "Ben", "attribute": "pet", "value": "Rex"},
            {"subject": "Ann", "attribute": "pet", "value": "Rex"},
            0.9,
        ),
    ],
)
def test_what_cannot_be_the_same_is_not(earlier, later, score):
    rows = [TEA[0] | earlier, TEA[1] | later]
    said = [verdict("b", "a", "same", score)]
    assert judged(rows, said, FAR) == {}
    facts = table("facts", rows)
    tables = {"facts": facts, "embeddings": embeddings(facts), "verdicts": table("verdicts", said)}
    counters = NearDuplicates(judge="verdicts").run(tables, HashModels()).counters
    assert counters["same_refused"] == 1


def test_two_spellings_of_a_value_may_be_the_same_but_not_one_that_came_back():
    rows = [says("a", 1, "NYC"), says("b", 2, "New York"), says("c", 3, "Oslo")]
    rows.append(says("d", 4, "new york city"))
    far = {row["text"]: 60 * n for n, row in enumerate(rows)}
    assert judged(rows, [verdict("b", "a", "same")], far) == {"b": ("a", "model")}
    assert judged(rows, [verdict("d", "a", "same")], far) == {}


kinds_of_verdict = st.sampled_from(["same", "same", "refines", "unrelated"])


@examples(40)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 80)), min_size=2, max_size=14),
    st.dictionaries(st.tuples(st.integers(0, 13), st.integers(0, 13)), kinds_of_verdict),
    st.randoms(),
)
def test_any_order_of_facts_and_verdicts_gives_the_same(points, said, rng):
    rows = [fact(f"m{n:02}", minute, f"tea {'a' * n}") for n, (minute, _) in enumerate(points)]
    angles = {row["text"]: point[1] for row, point in zip(rows, points, strict=True)}
    verdicts = [
        verdict(f"m{later:02}", f"m{earlier:02}", name)
        for (later, earlier), name in said.items()
        if later < len(rows) and earlier < len(rows)
    ]
    expected = judged(rows, verdicts, angles)
    rng.shuffle(rows)
    rng.shuffle(verdicts)
    assert judged(rows, verdicts, angles) == expected
