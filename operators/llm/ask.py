"""Asks a model many questions at once, checks the answers, asks once more where they fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from operators.llm.call import Answer, Request
from operators.llm.prompt import Prompt
from operators.llm.spec import AnyLlm

Output = TypeVar("Output", bound=BaseModel)

_ERROR_CHARS = 600
_QUOTED_CHARS = 2000


class Generates(Protocol):
    """The part of `Models` that is needed here."""

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """An answer to each request."""
        ...

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        """Note that an answer cannot be used."""
        ...


@dataclass(frozen=True)
class Question:
    """One question: for which conversation (and session), and the words of the user turn."""

    tenant: str
    conversation_id: str
    text: str
    session_id: str = ""


def accept(question: Question, output: BaseModel) -> str | None:
    """The check that has no objection."""
    del question, output
    return None


def ask(
    models: Generates,
    llm: AnyLlm,
    prompt: Prompt[Output],
    questions: Sequence[Question],
    check: Callable[[Question, Output], str | None] = accept,
) -> list[Output | None]:
    """The checked answer to each question, in order; None where the rules have to stand in.

    All questions are one round trip. Answers that are not of the prompt's form, or to which
    `check` objects, are asked for once more, with the objection: a second round trip. What
    fails then is set aside, as a dead letter. Cost: LLM, one call a question. Deterministic
    given the recorded answers.
    """
    first = [_request(prompt, question) for question in questions]
    out, objections = _round(models, llm, prompt, first, questions, check)
    again = sorted(objections)
    retries = [_retry(first[at], *objections[at]) for at in again]
    second, failed = _round(models, llm, prompt, retries, [questions[at] for at in again], check)
    for place, at in enumerate(again):
        out[at] = second[place]
        if place in failed:
            answer, objection = failed[place]
            models.set_aside(retries[place], answer, objection)
    return out


def _request(prompt: Prompt[Any], question: Question) -> Request:
    return Request(
        tenant=question.tenant,
        conversation_id=question.conversation_id,
        session_id=question.session_id,
        prompt=prompt.identity,
        turns=(("system", prompt.system), ("user", question.text)),
        schema=prompt.schema,
        max_tokens=prompt.max_tokens,
    )


def _retry(request: Request, answer: Answer, objection: str) -> Request:
    quoted = answer.text[:_QUOTED_CHARS]
    again = f"That answer cannot be used: {objection[:_ERROR_CHARS]}. Answer again, correctly."
    return replace(request, turns=(*request.turns, ("assistant", quoted), ("user", again)))


def _round(
    models: Generates,
    llm: AnyLlm,
    prompt: Prompt[Output],
    requests: Sequence[Request],
    questions: Sequence[Question],
    check: Callable[[Question, Output], str | None],
) -> tuple[list[Output | None], dict[int, tuple[Answer, str]]]:
    """Outputs, and by place what is objected to; an unanswered call is not asked again here."""
    if not requests:
        return [], {}
    outputs: list[Output | None] = []
    objections: dict[int, tuple[Answer, str]] = {}
    answers = models.generate(llm, requests)
    for place, (answer, question) in enumerate(zip(answers, questions, strict=True)):
        output, objection = _checked(prompt, answer, question, check)
        outputs.append(output)
        if objection is not None and answer.status not in ("unanswered", "predicted"):
            objections[place] = (answer, objection)
    return outputs, objections


def _checked(
    prompt: Prompt[Output],
    answer: Answer,
    question: Question,
    check: Callable[[Question, Output], str | None],
) -> tuple[Output | None, str | None]:
    if answer.status == "refused":
        return None, f"the model refused: {answer.text}"
    if answer.status in ("unanswered", "predicted"):
        return None, answer.status
    try:
        output = prompt.output.model_validate_json(answer.text)
    except ValidationError as error:
        cut = f" (cut off after {answer.tokens_out} tokens)" if answer.status == "truncated" else ""
        return None, f"{_first_problem(error)}{cut}"
    objection = check(question, output)
    return (None, objection) if objection else (output, None)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
