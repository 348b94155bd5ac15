import pytest

from operators.relations.contradiction import (
    never_but_did,
    opposite_liking,
    polarity_flip,
    unchanging_value,
    unordered_values,
)
from operators.relations.transformation import first_time
from tests.operators.relations.pairs import pair
from tests.operators.samples import at


def about(attribute, value, **more):
    return {"subject": "Ann", "attribute": attribute, "value": value, **more}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("Ann eats mushrooms on toast.", "Ann doesn't eat mushrooms on toast."),
        ("Ann never drinks green tea.", "Ann drinks green tea."),
        ("Ann: Well, Ann owns a bicycle helmet", "Ann does not own a bicycle helmet"),
    ],
)
def test_an_affirmed_and_denied_statement_contradict(earlier, later):
    assert polarity_flip(pair(earlier, later)).type == "contradicts"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("Ann eats mushrooms on toast.", "Ann's sister doesn't eat mushrooms on toast."),
        ("Ann eats mushrooms on toast.", "Would Ann not eat mushrooms on toast?"),
        ("Ann eats mushrooms on toast.", "Ann doesn't eat trout with lemon."),
        ("Ann slept well in the tent.", "Ann didn't sleep well in the tent."),
        ("Ann wants to eat mushrooms on toast.", "Ann doesn't eat mushrooms on toast."),
        ("Ann eats two mushrooms on toast.", "Ann doesn't eat three mushrooms on toast."),
        ("It eats mushrooms on toast.", "It doesn't eat mushrooms on toast."),
        ("Ann doesn't eat mushrooms on toast.", "Ann never eats mushrooms on toast."),
    ],
)
def test_near_misses_do_not(earlier, later):
    assert polarity_flip(pair(earlier, later)) is None


def test_only_one_persons_words_contradict_each_other_and_only_close_ones():
    said = ("Ann eats mushrooms on toast.", "Ann doesn't eat mushrooms on toast.")
    assert polarity_flip(pair(*said, second={"speaker": "Ben"})) is None
    assert polarity_flip(pair(*said, cosine=0.5)) is None


@pytest.mark.parametrize(
    ("earlier", "later", "found"),
    [
        ("Ann loves jazz festivals.", "Ann hates jazz festivals.", True),
        ("Ann enjoys jazz festivals.", "Ann doesn't enjoy jazz festivals.", True),
        ("Ann loves jazz festivals.", "Ann doesn't hate jazz festivals.", False),
        ("Ann loves jazz festivals.", "Ann hates crowded trains.", False),
        ("Ann loves jazz festivals.", "Ann likes jazz festivals.", False),
        ("Ann loved jazz festivals.", "Ann hates jazz festivals.", False),
    ],
)
def test_liking_and_disliking_the_same_thing(earlier, later, found):
    assert bool(opposite_liking(pair(earlier, later))) is found


def test_never_after_a_deed_contradicts_and_before_it_is_a_first_time():
    did = "Ann visited the lighthouse museum in spring."
    never = "Ann has never visited the lighthouse museum."
    assert never_but_did(pair(did, never)).method == "never_but_did"
    assert first_time(pair(did, never)) is None
    assert first_time(pair(never, did)).type == "transforms"
    assert never_but_did(pair(never, did)) is None


@pytest.mark.parametrize(
    "later",
    [
        "Ann has never visited the opera house.",
        "Ann would never visit the lighthouse museum.",
        "Has Ann never visited the lighthouse museum?",
        "Ann's mother has never visited the lighthouse museum.",
    ],
)
def test_never_of_something_else(later):
    assert never_but_did(pair("Ann visited the lighthouse museum in spring.", later)) is None


def test_values_of_one_attribute_at_one_time_have_no_order():
    here = about("home_city", "Oslo", event_time=at(0))
    there = about("home_city", "Rome", event_time=at(0))
    texts = ("Ann lives in Oslo.", "Ann lives in Rome.")
    assert unordered_values(pair(*texts, first=here, second=there)).method == "unordered_values"
    later = there | {"event_time": at(1)}
    assert unordered_values(pair(*texts, first=here, second=later)) is None
    ordered = there | {"seq": 1}
    assert unordered_values(pair(*texts, first=here, second=ordered)) is None
    likes = [about("likes", value, event_time=at(0)) for value in ("tea", "rum")]
    assert unordered_values(pair(*texts, first=likes[0], second=likes[1])) is None


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("4 May", "5 May", True),
        ("4 May", "the 4th of May", False),
        ("4 May", "May 4, 1990", False),
    ],
)
def test_a_birthday_does_not_change(one, other, found):
    first, second = about("birthday", one), about("birthday", other)
    assert bool(unchanging_value(pair("a", "b", first=first, second=second))) is found
