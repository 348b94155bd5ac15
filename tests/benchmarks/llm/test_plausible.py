"""Answers without a model: valid for any schema, near-verbatim, the same again."""

import importlib
import json
import pkgutil
from typing import Any, Literal, TypeVar

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import operators
from benchmarks.llm.lines import numbered_lines
from benchmarks.llm.plausible import plausible_answer
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt

TALK = """Session: Monday 8 May 2023. People: Ann, Ben.
[1] Ann: Hey! I've moved to Rome with my sister Eva. Are you well?
[2] Ben: Yes.
[3] Ben: I bought a red bicycle on 6 May 2023 for 300 dollars."""


Model = TypeVar("Model", bound=BaseModel)


class Fact(BaseModel):
    line: int = Field(ge=1, le=99)
    text: str = Field(max_length=200)
    kind: Literal["factual", "experiential", "subjective"]
    quote: str = Field(default="", max_length=60)
    start: str = Field(default="", max_length=10)
    subject: str = Field(default="", max_length=80)
    entities: list[str] = Field(default_factory=list[str], max_length=4)
    also: list[int] = Field(default_factory=list[int], max_length=4)


class Facts(BaseModel):
    facts: list[Fact] = Field(max_length=12)


class Verdict(BaseModel):
    pair: int = Field(ge=1, le=40)
    verdict: Literal["same", "replaces", "unrelated"]


class Verdicts(BaseModel):
    verdicts: list[Verdict] = Field(max_length=40)


class Summary(BaseModel):
    title: str = Field(min_length=1, max_length=30)
    summary: str = Field(max_length=120)
    keywords: list[str] = Field(max_length=3)
    lines: list[int] = Field(min_length=1, max_length=2)


def turns(user: str = TALK) -> list[tuple[str, str]]:
    return [("system", "List the facts."), ("user", user)]


def answer(model: type[Model], user: str = TALK, max_tokens: int = 1_000) -> Model:
    text = plausible_answer(turns(user), model.model_json_schema(), max_tokens)
    return model.model_validate_json(text)


def test_an_item_for_each_line_that_says_something() -> None:
    first, second = answer(Facts).facts
    assert (first.line, second.line) == (1, 3)
    assert first.text == "Ann has moved to Rome with Ann's sister Eva."
    assert first.quote == "I've moved to Rome with my sister Eva."
    assert first.entities == ["Ann", "Rome", "Eva"]
    assert second.text == "Ben bought a red bicycle on 6 May 2023 for 300 dollars."
    assert second.start == "2023-05-06"
    assert all(fact.quote in TALK for fact in (first, second))


def test_what_may_be_left_out_is_left_out_where_the_line_does_not_give_it() -> None:
    text = plausible_answer(turns(), Facts.model_json_schema(), 1_000)
    first = json.loads(text)["facts"][0]
    assert not {"start", "subject", "also"} & first.keys()


def test_one_text_about_all_lines() -> None:
    told = answer(Summary)
    assert told.title == "Hey I've moved to Rome with"
    assert told.summary.startswith("Ann has moved to Rome")
    assert told.lines == [1, 2]


def test_verdicts_are_neutral_for_the_most_part() -> None:
    lines = "\n".join(f"[{n}] 2023-05-0{n % 9 + 1} Ann has {n} cats." for n in range(1, 41))
    verdicts = answer(Verdicts, lines).verdicts
    assert [one.pair for one in verdicts] == list(range(1, 41))
    unrelated = sum(one.verdict == "unrelated" for one in verdicts)
    assert 24 <= unrelated < 40


def test_the_lines_of_the_question_count_when_it_is_asked_again() -> None:
    again = [*turns(), ("assistant", "{}"), ("user", "That cannot be used. Answer again.")]
    told = json.loads(plausible_answer(again, Facts.model_json_schema(), 1_000))
    assert [fact["line"] for fact in told["facts"]] == [1, 3]


def test_without_numbers_each_sentence_is_a_line() -> None:
    lines = numbered_lines([("user", "Ann: I swim daily. It is cold!\nBen: I do not.")])
    assert [(one.number, one.speaker, one.text) for one in lines] == [
        (1, "Ann", "I swim daily."),
        (2, "Ann", "It is cold!"),
        (3, "Ben", "I do not."),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2023-05-08 Ann likes tea.", "Ann likes tea."),
        ("(2023-05-08) Ann: I'm tired.", "Ann is tired."),
        ("Ann said: What a day!", "Ann said: What a day!"),
        ("Dr. Ann Lee (guest): I agree with me.", "Dr. Ann Lee agree with Dr. Ann Lee."),
        ("The shop costs 3.50 euros.", "The shop costs 3.50 euros."),
    ],
)
def test_the_speaker_becomes_the_subject(line: str, told: str) -> None:
    assert numbered_lines([("user", f"[1] {line}")])[0].statement == told


@pytest.mark.parametrize("max_tokens", [60, 100, 300])
def test_it_fits_where_it_can(max_tokens: int) -> None:
    lines = "\n".join(f"[{n}] Ann: I have seen {n} cats in the old town." for n in range(1, 30))
    text = plausible_answer(turns(lines), Facts.model_json_schema(), max_tokens)
    assert len(text) <= max_tokens * 3
    Facts.model_validate_json(text)


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(0, 5), st.integers(0, 30))
    names = st.sampled_from(["line", "text", "quote", "title", "keywords", "kind", "when", "note"])
    leaves = st.one_of(
        bounds.map(lambda b: {"type": "string", "minLength": b[0], "maxLength": sum(b)}),
        bounds.map(lambda b: {"type": "integer", "minimum": b[0], "maximum": sum(b)}),
        bounds.map(lambda b: {"type": "number", "minimum": b[0], "maximum": sum(b)}),
        st.sampled_from(
            [
                {"type": "boolean"},
                {"type": "null"},
                {"enum": ["a", "b", 3]},
                {"const": "fixed"},
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": r"^\d{4}-\d{2}$"},
                {"$ref": "#/$defs/Inner"},
            ]
        ),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, bounds).map(
                lambda one: {
                    "type": "array",
                    "items": one[0],
                    "minItems": one[1][0],
                    "maxItems": sum(one[1]),
                }
            ),
            inner.map(lambda one: {"anyOf": [one, {"type": "null"}]}),
            st.dictionaries(names, inner, max_size=4).map(
                lambda one: {
                    "type": "object",
                    "properties": one,
                    "required": sorted(one)[:2],
                    "additionalProperties": False,
                }
            ),
        ),
        max_leaves=8,
    )


_INNER = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 9}}}


@settings(max_examples=150, deadline=None)
@given(_schemas(), st.text(max_size=200) | st.just(TALK), st.integers(1, 500))
def test_valid_for_any_schema(schema: dict[str, Any], user: str, max_tokens: int) -> None:
    whole = {**schema, "$defs": {"Inner": _INNER}}
    text = plausible_answer(turns(user), whole, max_tokens)
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(whole, format_checker=checker).validate(json.loads(text))
    assert plausible_answer(turns(user), whole, max_tokens) == text


def _prompts() -> list[Prompt[Any]]:
    for module in pkgutil.walk_packages(operators.__path__, "operators."):
        importlib.import_module(module.name)
    found: dict[str, Prompt[Any]] = {}
    parts = list(LlmPart.__subclasses__())
    for part in parts:
        parts += part.__subclasses__()
        found |= {prompt.name: prompt for prompt in part.PROMPTS}
    return [found[name] for name in sorted(found)]


@pytest.mark.slow
def test_valid_for_every_prompt_of_ours() -> None:
    prompts = _prompts()
    assert prompts
    for prompt in prompts:
        for user in (TALK, "", "\n".join(f"[{n}] Ann has seen {n} cats." for n in range(1, 99))):
            asked = [("system", prompt.system), ("user", user)]
            text = plausible_answer(asked, json.loads(prompt.schema), prompt.max_tokens)
            prompt.output.model_validate_json(text)
