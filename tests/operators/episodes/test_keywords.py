"""Keywords: words, names and phrases that tell, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.episodes.keywords import keyword_stems, keywords
from tests.effort import examples

TALK = [
    "Nora: Hey Ben! How are you? The pottery class was great, thanks!",
    "Nora is moving to Lisbon next month (June 2024). The flat in Lisbon is tiny.",
    "Ben: Wow, that's amazing! Really happy for you. Is the pottery class near the flat?",
    "Nora: The pottery class starts on Monday. [image: a photo of a harbour at dusk]",
]


def test_names_and_repeated_phrases_come_first():
    found = keywords(TALK, ["Nora", "Ben"])
    assert set(found[:3]) == {"pottery class", "Lisbon", "flat"}


def test_speakers_chit_chat_dates_and_captions_are_left_out():
    found = " ".join(keywords(TALK, ["Nora", "Ben"], 50)).casefold().split()
    left_out = ["nora", "ben", "great", "thanks", "really", "happy", "june", "2024", "monday"]
    assert not {*left_out, "harbour", "photo", "hey", "wow"} & set(found)


def test_a_short_form_of_a_name_is_no_keyword():
    texts = ["So Mel went to the gallery.", "Has Mel seen the gallery?"]
    assert keywords(texts, ["Melanie"]) == ["gallery"]


def test_names_of_several_words_keep_together():
    texts = ["The Marshall Plan helped Europe.", "Ada's dog plays Red Dead Redemption."]
    found = keywords(texts)
    assert {"Marshall Plan", "Red Dead Redemption", "Europe"} <= set(found)


def test_a_phrase_gives_way_to_a_word_that_is_mostly_used_alone():
    texts = ["Tea with jasmine.", "Green tea.", "Black tea.", "Tea again.", "Green tea."]
    assert keywords(texts)[0] == "tea"


def test_spelling_follows_use_inside_sentences():
    texts = ["Gardens need rain.", "The gardens need rain.", "We use NASA data.", "A NASA rover."]
    found = keywords(texts)
    assert "gardens" in found
    assert "NASA" in found


def test_nothing_to_say_gives_no_keywords():
    assert keywords([]) == []
    assert keywords(["Thanks so much!", "You're welcome :)", "https://example.org/a"]) == []


def test_stems_make_lists_comparable():
    assert keyword_stems(["Pottery classes"]) == keyword_stems(["pottery", "class"])


WORDS = st.sampled_from(
    ["tea", "Tea", "harbour", "Lisbon", "don't", "Ada's", "is", "NASA", ".", ","]
)


@examples(100)
@given(st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=6), st.integers(1, 5))
def test_keywords_are_few_distinct_and_no_longer_for_a_smaller_limit(texts, most):
    found = keywords(texts, ["Ada"], most)
    assert len(found) <= most
    stems = [stem for word in found for stem in keyword_stems([word])]
    assert len(stems) == len(set(stems))
    assert found == keywords(texts, ["Ada"], 8)[:most]
    assert "Ada" not in found


_VOCABULARY = [
    "tulip",
    "frost",
    "Red",
    "Dead",
    "Redemption",
    "NASA",
    "Mel",
    "New",
    "York",
    "pottery.",
    "class",
    "the",
]


@given(st.lists(st.lists(st.sampled_from(_VOCABULARY)).map(" ".join)), st.integers(1, 16))
@examples(100)
def test_words_left_for_last_are_none_of_the_best(texts: list[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("operators.episodes.keywords._LEAST_USES", (1,))
        expected = keywords(texts, most=most)
    assert keywords(texts, most=most) == expected
