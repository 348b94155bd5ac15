"""The relations in which both statements stay true: refines, accumulates, extends."""

import pytest

from operators.relations.accumulation import another_time, another_value
from operators.relations.extension import same_topic
from operators.relations.refinement import more_specific
from tests.operators.relations.pairs import pair
from tests.operators.samples import at

LOOM = "Ann weaves wool blankets."


@pytest.mark.parametrize(
    ("later", "method"),
    [
        ("Ann weaves 40 wool blankets a winter.", "more_specific"),
        ("Ann weaves wool blankets in a shed by the harbour with noisy neighbours.", "more_words"),
    ],
)
def test_the_same_with_more_detail_refines(later, method):
    assert more_specific(pair(LOOM, later)).method == method


@pytest.mark.parametrize(
    "later",
    [
        "Ann weaves wool blankets well.",
        "Ann knits 40 cotton jumpers.",
        "Ann doesn't weave 40 wool blankets.",
        "Does Ann weave 40 wool blankets?",
    ],
)
def test_no_detail_or_another_thing_does_not(later):
    assert more_specific(pair(LOOM, later)) is None


def test_a_number_must_not_be_another_one():
    assert (
        more_specific(pair("Ann weaves 30 wool blankets.", "Ann weaves 40 wool blankets.")) is None
    )


def test_a_name_or_a_time_is_a_detail():
    named = {"entities": ["Harris"]}
    assert more_specific(pair(LOOM, "Ann weaves wool blankets with Harris.", second=named))
    dated = {"occurred_start": at(0), "occurred_end": at(60)}
    assert more_specific(pair(LOOM, "Ann weaves wool blankets today.", second=dated))


@pytest.mark.parametrize(
    ("earlier", "later", "found"),
    [
        ("Ann baked a rhubarb pie.", "Ann baked another rhubarb pie.", True),
        ("Ann visited the lighthouse.", "Ann climbed a volcano.", False),
        ("Ann plans to bake a rhubarb pie.", "Ann baked a rhubarb pie.", False),
        ("Ann is worried about a rhubarb pie.", "Ann is worried about a rhubarb tart.", False),
    ],
)
def test_the_same_deed_at_another_time_accumulates(earlier, later, found):
    dates = [{"occurred_start": at(d * 1440), "occurred_end": at((d + 1) * 1440)} for d in (-3, 5)]
    assert bool(another_time(pair(earlier, later, first=dates[0], second=dates[1]))) is found


def test_the_same_deed_told_again_does_not():
    said = ("Ann baked a rhubarb pie.", "Ann baked a rhubarb pie, and it was good.")
    assert another_time(pair(*said)) is None, "nothing says that these are two pies"
    date = {"occurred_start": at(-1440), "occurred_end": at(0)}
    assert another_time(pair(*said, first=date, second=date)) is None


def test_values_of_a_set_add_up():
    def pet(name, attribute="pet"):
        return {"subject": "Ann", "attribute": attribute, "value": name}

    def judged(first, second):
        return another_value(pair("a", "b", first=first, second=second))

    assert judged(pet("Rex"), pet("Mia")).type == "accumulates"
    assert judged(pet("Rex"), pet("rex")) is None
    assert judged(pet("Oslo", "home_city"), pet("Rome", "home_city")) is None


@pytest.mark.parametrize(
    ("later", "found"),
    [
        ("Wool blankets from Ann's loom hang in the town hall.", True),
        ("Ann bought a bicycle in the town hall.", False),
        ("Do wool blankets hang in the town hall?", False),
        ("Wool blankets!", False),
    ],
)
def test_news_on_the_same_topic_extends(later, found):
    assert bool(same_topic(pair(LOOM, later))) is found


def test_a_shared_name_is_enough_but_not_that_of_a_speaker():
    texts = ("Ann met Zoltan at the ferry.", "Zoltan repairs church organs.")
    named = {"entities": ["Zoltan"]}
    assert same_topic(pair(*texts, 0.5, first=named, second=named)).method == "shared_name"
    texts = ("Ann met Ben at the ferry.", "Ben repairs church organs.")
    named = {"entities": ["Ben"]}
    assert same_topic(pair(*texts, 0.5, first=named, second=named)) is None
