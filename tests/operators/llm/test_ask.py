"""Questions, answers, the second try, and what is set aside."""

import pytest
from pydantic import BaseModel, Field

from operators.llm.ask import Question, ask
from operators.llm.call import Answer, Request
from operators.llm.prompt import Prompt
from tests.operators.llm.fakes import LLM, ScriptedModels


class Colour(BaseModel):
    name: str = Field(max_length=20)
    shade: int = Field(ge=0, le=9)


# Any prompt file will do; the form of the answer is this test's own.
PROMPT = Prompt("extract_facts", Colour, max_tokens=50)
GOOD = '{"name": "green", "shade": 3}'


def questions(*texts: str) -> list[Question]:
    return [Question("t", f"c{place}", text) for place, text in enumerate(texts)]


def test_all_questions_are_one_round_trip() -> None:
    models = ScriptedModels(lambda _: GOOD)
    answers = ask(models, LLM, PROMPT, questions("a", "b", "c"))
    assert answers == [Colour(name="green", shade=3)] * 3
    assert (models.rounds, models.calls, models.set_aside_reasons) == (1, 3, [])


def test_what_requests_have_in_common_stands_first() -> None:
    models = ScriptedModels(lambda _: GOOD)
    ask(models, LLM, PROMPT, questions("a", "b"))
    first, second = models.requests
    assert first.turns[0] == second.turns[0] == ("system", PROMPT.system)
    assert [request.turns[-1] for request in models.requests] == [("user", "a"), ("user", "b")]
    assert first.prompt == PROMPT.identity and first.schema == PROMPT.schema


@pytest.mark.parametrize(
    ("bad", "objection"),
    [
        ("no JSON", "Invalid JSON"),
        ('{"name": "green"}', "shade: Field required"),
        ('{"name": "green", "shade": 12}', "shade: Input should be less than or equal to 9"),
        ('{"name": "green", "sha', "Invalid JSON"),
    ],
)
def test_an_invalid_answer_is_asked_for_once_more_with_the_error(bad: str, objection: str) -> None:
    def script(request: Request) -> str:
        return GOOD if len(request.turns) > 2 or request.turns[-1][1] == "b" else bad

    models = ScriptedModels(script)
    assert ask(models, LLM, PROMPT, questions("a", "b")) == [Colour(name="green", shade=3)] * 2
    assert (models.rounds, models.calls, models.set_aside_reasons) == (2, 3, [])
    role, again = models.requests[-1].turns[-1]
    assert role == "user" and objection in again
    assert models.requests[-1].turns[-2] == ("assistant", bad)


def test_what_stays_invalid_is_set_aside_and_none_stands_for_it() -> None:
    models = ScriptedModels(lambda request: "?" if request.turns[1][1] == "a" else GOOD)
    assert ask(models, LLM, PROMPT, questions("a", "b")) == [None, Colour(name="green", shade=3)]
    assert models.rounds == 2
    assert [request.conversation_id for request in models.set_aside_requests] == ["c0"]
    assert "Invalid JSON" in models.set_aside_reasons[0]


def test_a_check_may_object() -> None:
    models = ScriptedModels(lambda r: GOOD if len(r.turns) == 2 else GOOD.replace("3", "4"))

    def check(question: Question, colour: Colour) -> str | None:
        return "shade must not be 3" if colour.shade == 3 and question.text == "a" else None

    first, second = ask(models, LLM, PROMPT, questions("a", "b"), check)
    assert first is not None and first.shade == 4
    assert second is not None and second.shade == 3
    assert "shade must not be 3" in models.requests[-1].turns[-1][1]


@pytest.mark.parametrize("status", ["unanswered", "predicted"])
def test_what_nobody_answered_is_not_asked_again_here(status: str) -> None:
    def script(request: Request) -> Answer:
        return Answer(request.call_id(LLM), status, "")  # type: ignore[arg-type]

    models = ScriptedModels(script)
    assert ask(models, LLM, PROMPT, questions("a")) == [None]
    assert (models.rounds, models.set_aside_reasons) == (1, [])


def test_a_refusal_is_tried_again_then_set_aside() -> None:
    def script(request: Request) -> Answer:
        return Answer(request.call_id(LLM), "refused", "against the rules")

    models = ScriptedModels(script)
    assert ask(models, LLM, PROMPT, questions("a")) == [None]
    assert models.rounds == 2
    assert models.set_aside_reasons == ["the model refused: against the rules"]


def test_a_cut_answer_says_so() -> None:
    def script(request: Request) -> Answer:
        return Answer(request.call_id(LLM), "truncated", '{"name": "gr', 9, 50)

    models = ScriptedModels(script)
    ask(models, LLM, PROMPT, questions("a"))
    assert "cut off after 50 tokens" in models.set_aside_reasons[0]


def test_no_questions_no_round() -> None:
    models = ScriptedModels(lambda _: GOOD)
    assert ask(models, LLM, PROMPT, []) == []
    assert models.rounds == 0


def test_what_makes_a_call_another_call() -> None:
    request = Request("t", "c", "s", PROMPT.identity, (("user", "a"),), PROMPT.schema, 50)
    same = Request("t2", "c2", "", PROMPT.identity, (("user", "a"),), PROMPT.schema, 50)
    assert request.call_id(LLM) == same.call_id(LLM)  # Whose it is does not matter.
    others = [
        (LLM.model_copy(update={"model": "another"}), request),
        (LLM.model_copy(update={"temperature": 0.5}), request),
        (LLM, Request("t", "c", "s", "p@2:x", (("user", "a"),), PROMPT.schema, 50)),
        (LLM, Request("t", "c", "s", PROMPT.identity, (("user", "b"),), PROMPT.schema, 50)),
        (LLM, Request("t", "c", "s", PROMPT.identity, (("system", "a"),), PROMPT.schema, 50)),
        (LLM, Request("t", "c", "s", PROMPT.identity, (("user", "a"),), "{}", 50)),
        (LLM, Request("t", "c", "s", PROMPT.identity, (("user", "a"),), PROMPT.schema, 51)),
    ]
    ids = {other.call_id(llm) for llm, other in others}
    assert len(ids) == len(others) and request.call_id(LLM) not in ids
    elsewhere = LLM.model_copy(update={"url": "http://elsewhere/v1", "max_in_flight": 1})
    assert request.call_id(elsewhere) == request.call_id(LLM)  # Nor where it runs.
