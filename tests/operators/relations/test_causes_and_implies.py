import pytest

from operators.relations.causation import opening, reason, result
from operators.relations.implication import by_attribute, by_connective
from tests.operators.relations.pairs import pair

STORM = "The storm flooded the cellar."


@pytest.mark.parametrize(
    ("rule", "later", "method"),
    [
        (reason, "Ann moved out because the storm flooded the cellar.", "because:target_is_cause"),
        (reason, "The concert fell through due to the flooded cellar.", "because:target_is_cause"),
        (result, "The flooded cellar led to a quarrel.", "led_to:target_is_cause"),
        (result, "A broken pump led to the flooded cellar.", "led_to:target_is_effect"),
    ],
)
def test_the_method_says_which_end_is_the_cause(rule, later, method):
    verdict = rule(pair(STORM, later))
    assert (verdict.type, verdict.method) == ("causes", method)


@pytest.mark.parametrize(
    "later",
    [
        "Ann moved out because rents have doubled.",
        "Because of what was the cellar flooded?",
        "The storm flooded the cellar because the pump broke.",
        "Ann smiled, which is odd because the storm flooded the cellar.",
        "Ann moved out, the storm flooded the cellar.",
        "What led to the flooded cellar?",
    ],
)
def test_other_reasons_are_not_the_earlier_statement(later):
    assert reason(pair(STORM, later)) is None
    assert result(pair(STORM, later)) is None


@pytest.mark.parametrize(
    ("later", "method"),
    [
        ("Ann: That's why we moved.", "thats_why:target_is_cause"),
        ("As a result, we moved.", "thats_why:target_is_cause"),
        ("Because the pump broke.", "because:target_is_effect"),
        ("Because the pump broke, the carpet is wet.", None),
        ("We moved, that's why.", None),
        ("So, how are things?", None),
    ],
)
def test_an_opening_refers_to_the_neighbour(later, method):
    verdict = opening(pair(STORM, later, neighbours=True))
    assert (verdict and verdict.method) == method
    assert opening(pair(STORM, later)) is None, "only of neighbours"


@pytest.mark.parametrize(
    ("later", "found"),
    [
        ("Therefore the insurance pays.", True),
        ("Ann: Which means that the insurance pays.", True),
        ("It is therefore closed.", False),
        ("So the insurance pays.", False),
    ],
)
def test_consequences_are_named(later, found):
    assert bool(by_connective(pair(STORM, later, neighbours=True))) is found
    assert by_connective(pair(STORM, later)) is None


def about(subject, attribute, value):
    return {"subject": subject, "attribute": attribute, "value": value}


def test_attributes_imply_each_other_by_the_table():
    husband, married = (
        about("Ann", "partner", "Tom"),
        about("Ann", "relationship_status", "married"),
    )
    found = by_attribute(pair("a", "b", first=husband, second=married))
    assert (found.type, found.method) == ("implies", "attribute:target_implies_source")
    found = by_attribute(pair("a", "b", first=married, second=husband))
    assert found.method == "attribute:source_implies_target"
    single = about("Ann", "relationship_status", "single")
    assert by_attribute(pair("a", "b", first=husband, second=single)) is None
    other = about("Zoe", "relationship_status", "married")
    assert by_attribute(pair("a", "b", first=husband, second=other)) is None
