import numpy as np

from tests.operators.samples import at, says
from tests.operators.verdicts.asked import pairs, spot, told

GARDEN, VIOLIN, HARBOUR = spot(1, 0, 0, 0, 0, 0), spot(0, 1), spot(0, 0, 1)
ROWS = [
    told("a", 0, "Ann grows beans in the garden."),
    told("b", 1, "Ann practises the violin on Sundays."),
    told("c", 2, "Ann planted roses in her garden."),
]
VECTORS = {ROWS[0]["text"]: GARDEN, ROWS[1]["text"]: VIOLIN, ROWS[2]["text"]: spot(1, 0.1)}


def test_a_fact_is_asked_about_with_near_earlier_facts():
    assert pairs(ROWS, VECTORS) == [("c", "a", "near")]
    assert pairs([ROWS[2], ROWS[1], ROWS[0]], VECTORS) == [("c", "a", "near")]


def test_the_nearest_few_of_equals_the_earlier():
    rows = [told(f"m{n}", n, f"Ann told story number {n} again.") for n in range(4)]
    assert pairs(rows, neighbours=1) == [(f"m{n}", "m0", "near") for n in (1, 2, 3)]
    found = pairs(rows, neighbours=2)
    assert [(later, earlier) for later, earlier, _ in found] == [
        ("m1", "m0"),
        ("m2", "m0"),
        ("m2", "m1"),
        ("m3", "m0"),
        ("m3", "m1"),
    ]


def test_facts_of_one_message_or_of_two_speakers_are_not_compared():
    same_message = [ROWS[0], told("a", 0, "Ann weeds the garden a lot.", ordinal=1, fact_id="x")]
    assert pairs(same_message) == []
    assert pairs([ROWS[0], ROWS[2] | {"speaker": "Ben"}], VECTORS) == []
    other = ROWS[2] | {"conversation_id": "d"}
    assert pairs([ROWS[0], other], VECTORS) == []


def test_questions_assistants_documents_and_bare_words_are_not_asked_about():
    for more in (
        {"text": "Ann: would you like a garden?"},
        {"text": "Ann: wow, so great!"},
        {"text": "Ann: [image: a photo of a garden with roses]"},
        {"role": "assistant"},
        {"span_end": 2001},
    ):
        assert pairs([ROWS[0], ROWS[2] | more]) == [], more
    assert pairs([ROWS[0], ROWS[2] | {"span_end": 2001}], document_chars=3000) != []


def test_exact_repetitions_are_not_asked_about():
    copy = told("d", 3, "ann grows beans in the garden!")
    assert pairs([ROWS[0], copy]) == []
    dated = copy | {"occurred_start": at(0), "occurred_end": at(1)}
    assert pairs([ROWS[0], dated]) == [("d", "a", "near")]


def test_what_may_repeat_is_found_by_plain_cosine():
    """About the mean of what was said before, all that is alike is unlike nothing."""
    rows = [told(f"m{n:02}", n, f"Ann waters the plants, day {n} of it.") for n in range(40)]
    found = pairs(rows, floor=1.0, repetition=0.9, neighbours=1)
    assert len(found) == 39
    assert len(pairs(rows, floor=1.0, repetition=1.0, neighbours=1)) == 39, "equal vectors"
    near = {row["text"]: spot(1, 0.05 * n) for n, row in enumerate(rows)}
    assert len(pairs(rows, near, floor=1.0, repetition=1.0)) < 39


def test_an_attribute_is_asked_about_with_its_latest_other_value():
    rows = [
        says("a", 1, "Rome"),
        says("b", 2, "Oslo"),
        says("c", 3, "Oslo") | {"text": "Ann still likes it in Oslo."},
        says("d", 4, "Bonn"),
    ]
    vectors = {row["text"]: spot(*np.eye(4)[n]) for n, row in enumerate(rows)}
    assert pairs(rows, vectors) == [
        ("b", "a", "attribute"),
        ("c", "a", "attribute"),
        ("d", "c", "attribute"),
    ]


def test_an_attribute_may_be_told_by_another():
    rows = [says("a", 1, "Rome"), says("b", 2, "Oslo", speaker="Ben"), says("c", 3, "x", "pet")]
    assert ("b", "a", "attribute") in pairs(rows)
    assert pairs([rows[0], says("b", 2, "Oslo", subject="Ben", speaker="Ben")]) == []
    one_message = [says("a", 1, "Rex", "pet"), says("a", 1, "Tom", "pet", ordinal=1, fact_id="x")]
    assert pairs(one_message) == []


def test_a_session_that_follows_changes_no_old_pair():
    rng = np.random.default_rng(4)
    rows = [told(f"m{n:02}", n // 5, f"Ann says thing {n} of many.") for n in range(60)]
    vectors = {row["text"]: spot(1, *rng.normal(size=6)) for row in rows}
    whole = pairs(rows, vectors, floor=0.3)
    for size in (20, 35, 50):
        first = {row["message_id"] for row in rows[:size]}
        old = [pair for pair in whole if pair[0] in first]
        assert pairs(rows[:size], vectors, floor=0.3) == old
    assert len(whole) > 30


def test_a_late_fact_changes_only_what_follows_it():
    rng = np.random.default_rng(5)
    rows = [told(f"m{n:02}", n, f"Ann says thing {n} of many.") for n in range(40)]
    vectors = {row["text"]: spot(1, *rng.normal(size=6)) for row in rows}
    late = rows.pop(25)
    before = [pair for pair in pairs(rows, vectors, floor=0.3) if pair[0] < "m25"]
    after = [pair for pair in pairs([*rows, late], vectors, floor=0.3) if pair[0] < "m25"]
    assert before == after
    assert before
