import pytest

from operators.relations.transformation import (
    changed_mind,
    corrected,
    no_longer,
    other_number,
    switched,
)
from tests.operators.relations.pairs import pair


@pytest.mark.parametrize(
    ("earlier", "later", "method"),
    [
        ("Ann plays the bassoon in an orchestra.", "Ann no longer plays the bassoon.", "no_longer"),
        ("Ann plays the bassoon a lot.", "Ann doesn't play the bassoon any more.", "no_longer"),
        ("Ann drinks five espressos a day.", "Ann has stopped drinking espressos.", "stopped"),
        ("Ann works on her pottery.", "Ann gave up pottery in June.", "stopped"),
        ("Ann teaches sculpture classes.", "Ann used to teach sculpture classes.", "used_to"),
    ],
)
def test_what_has_ended(earlier, later, method):
    verdict = no_longer(pair(earlier, later))
    assert verdict is not None
    assert (verdict.type, verdict.method) == ("transforms", method)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("Ann plays the bassoon.", "Ann's cousin no longer plays the bassoon."),
        ("Ann plays the bassoon.", "Ann no longer eats walnuts."),
        ("Ann plays the bassoon.", "Ann won't quit the bassoon."),
        ("Ann plays the bassoon.", "Ann got used to the bassoon."),
        ("Ann plays the bassoon.", "Any tips to quit the bassoon?"),
        ("Ann plays the bassoon.", "Ann would like to play the bassoon more."),
        ("Ann doesn't play the bassoon.", "Ann no longer plays the bassoon."),
        ("Ann has stopped playing the bassoon.", "Ann no longer plays the bassoon."),
        ("Does Ann play the bassoon?", "Ann no longer plays the bassoon."),
    ],
)
def test_what_has_not(earlier, later):
    assert no_longer(pair(earlier, later)) is None


@pytest.mark.parametrize(
    ("earlier", "later", "found"),
    [
        ("Ann: Bergen! We want to hike.", "We're going to Tartu instead of Bergen.", True),
        ("Ann runs with Stravo.", "Ann switched from Stravo to Pacely.", True),
        ("Ann runs with Stravo.", "Ann may have switched from Stravo to Pacely.", False),
        ("Ann runs with Stravo.", "Ann switched from Humbly to Pacely.", False),
        ("Ann: Bergen! We want to hike.", "Instead of Bergen put Tartu in the title.", False),
    ],
)
def test_one_thing_for_another(earlier, later, found):
    assert bool(switched(pair(earlier, later))) is found


@pytest.mark.parametrize(
    ("earlier", "later", "found"),
    [
        ("The exam is on Tuesday 14 May.", "The exam isn't on the 14th, it's on the 21st.", True),
        ("The exam is on Tuesday 14 May.", "Sorry, not the 14th. The 21st.", True),
        ("The exam is on Tuesday 14 May.", "Ann is not sure that 14 pens and 2 rulers do.", False),
        ("The exam is on Tuesday 14 May.", "The exam isn't on the 12th, it's on the 21st.", False),
        ("The exam is on Tuesday 14 May.", "Not 14, really.", False),
    ],
)
def test_a_number_taken_back(earlier, later, found):
    assert bool(corrected(pair(earlier, later))) is found


@pytest.mark.parametrize(
    ("earlier", "later", "found"),
    [
        ("Ann has 3 antique clocks.", "Ann has 4 antique clocks.", True),
        ("Ann owns three antique clocks.", "Ann now owns four antique clocks.", True),
        ("Ann has 3 antique clocks.", "Ann has 4 antique chairs.", False),
        ("Read chapter 3 of antique clocks.", "Read chapter 4 of antique clocks.", False),
        ("Ann has sold 3 antique clocks.", "Ann has sold 4 antique clocks.", False),
        ("Ann has 3 antique clocks.", "Ann wants 4 antique clocks.", False),
        ("Ann's club race is on 3 May.", "Ann's club race is on 9 May.", False),
        ("Ann's club race is on 3 May.", "Ann's club race is on 9 June.", False),
    ],
)
def test_the_same_with_another_number(earlier, later, found):
    assert bool(other_number(pair(earlier, later))) is found


def test_a_changed_mind():
    earlier = "Ann likes liquorice in her tea."
    assert changed_mind(pair(earlier, "Ann has changed Ann's mind about liquorice."))
    assert changed_mind(pair(earlier, "Ann has changed Ann's mind about the sofa.")) is None
    assert changed_mind(pair(earlier, "Ann's boss has changed his mind about liquorice.")) is None
