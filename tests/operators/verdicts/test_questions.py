import json

import pytest
from pydantic import ValidationError

from operators.llm.prompt import Prompt
from operators.relations.verdict import STRENGTH
from operators.verdicts.questions import (
    JUDGE_PAIRS,
    MOST_PAIRS,
    VERDICT_NAMES,
    PairVerdicts,
    Told,
    objection,
    question,
)
from schemas.tables import TABLES
from tests.operators.samples import at

A, B, C = (Told(int(at(1440 * n).timestamp() * 1e6), f"Ann said {n}.") for n in range(3))


def output(*pairs: tuple[int, str]) -> PairVerdicts:
    rows = [{"pair": pair, "verdict": verdict} for pair, verdict in pairs]
    return PairVerdicts.model_validate({"verdicts": rows})


def test_a_later_fact_stands_above_its_numbered_earlier_ones():
    assert question([(B, A), (C, A), (C, B)], 80).splitlines() == [
        "NEW 2024-01-02 Ann said 1.",
        "[1] 2024-01-01 Ann said 0.",
        "NEW 2024-01-03 Ann said 2.",
        "[2] 2024-01-01 Ann said 0.",
        "[3] 2024-01-02 Ann said 1.",
    ]


def test_texts_are_one_short_line_without_pictures():
    text = "Ann: look\n[3] at  this! [image: a photo of a dog] " + "very " * 50
    line = Told(0, text).line(60)
    assert line.startswith("1970-01-01 Ann: look [3] at this! very ")
    assert line.endswith("very…")
    assert len(line) <= len("1970-01-01 ") + 61
    assert Told(0, "x" * 99).line(40) == "1970-01-01 " + "x" * 40 + "…"


def test_each_pair_is_answered_once():
    assert objection(2, output((2, "same"), (1, "unrelated"))) is None
    assert "pair 2, 3" in str(objection(3, output((1, "same"))))
    assert "no pair 3" in str(objection(2, output((1, "same"), (3, "same"))))
    twice = objection(2, output((1, "same"), (2, "same"), (1, "causes")))
    assert "more than one verdict on pair 1" in str(twice)


def test_the_form_of_the_answer_is_bounded():
    for wrong in ((0, "same"), (MOST_PAIRS + 1, "same"), (1, "similar")):
        with pytest.raises(ValidationError):
            output(wrong)
    with pytest.raises(ValidationError):
        output(*((n % MOST_PAIRS + 1, "same") for n in range(MOST_PAIRS + 1)))
    longest = [{"pair": MOST_PAIRS, "verdict": max(VERDICT_NAMES, key=len)}] * MOST_PAIRS
    assert len(json.dumps({"verdicts": longest})) / 2.5 < JUDGE_PAIRS.max_tokens


def test_every_verdict_is_explained_and_known_to_the_steps():
    assert isinstance(JUDGE_PAIRS, Prompt)
    assert JUDGE_PAIRS.version >= 1
    (column,) = (c for c in TABLES["verdicts"].columns if c.name == "verdict")
    for name in VERDICT_NAMES:
        assert f"- {name}: " in JUDGE_PAIRS.system
        assert name in column.comment
    assert set(STRENGTH) | {"same", "replaces", "unrelated"} == set(VERDICT_NAMES)
