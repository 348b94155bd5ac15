"""The bodies of OpenAI's chat completions: what is sent, and what comes back."""

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from operators.llm.call import Answer, Request, Status
from operators.llm.spec import OpenAiLlm

_REFUSAL_CHARS = 2_000
_RAW_CHARS = 300
_BY_SCHEMA = "Answer with one JSON object and nothing else. It must match this JSON schema:"


class UnreadableError(ValueError):
    """A body that is no answer."""


def body_of(llm: OpenAiLlm, request: Request) -> bytes:
    """The JSON that asks for `request`.

    Unless the endpoint takes the schema (`structured: json_schema`), it stands at the end of
    the system message, where equal prefixes stay equal.
    """
    turns = list(request.turns)
    fields: dict[str, Any] = {}
    if llm.structured == "json_schema":
        fields["response_format"] = {"type": "json_schema", "json_schema": _schema(request)}
    else:
        turns = _with_schema(turns, request.schema)
    if llm.structured == "json_object":
        fields["response_format"] = {"type": "json_object"}
    return orjson.dumps(
        {
            "model": llm.model,
            "messages": [{"role": role, "content": text} for role, text in turns],
            "temperature": llm.temperature,
            "seed": llm.seed,
            "max_tokens": request.max_tokens,
            **fields,
        }
    )


def answer_of(raw: bytes, call_id: str, latency_ms: float) -> Answer:
    """The answer in the body of a 200.

    Raises:
        UnreadableError: it has none.
    """
    body = _json(raw)
    choice = _first_choice(body)
    message = _mapping(choice.get("message"))
    refusal, content = message.get("refusal"), message.get("content")
    status = _status(choice.get("finish_reason"), refusal)
    text = _text(status, refusal, content)
    if text is None:
        raise UnreadableError("the answer has no content")
    usage = _mapping(body.get("usage"))
    return Answer(
        call_id=call_id,
        status=status,
        text=text,
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
        cached_tokens=_count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
        latency_ms=latency_ms,
    )


def error_of(raw: bytes) -> tuple[str, str, str]:
    """(message, code, parameter at fault) of the body of a response that is no 200."""
    try:
        body = _json(raw)
    except UnreadableError:
        return _start(raw), "", ""
    error = body.get("error", body)
    if isinstance(error, str):
        return error[:_REFUSAL_CHARS], "", ""
    fields = _mapping(error)
    message = fields.get("message") or fields.get("detail") or _start(raw)
    code, parameter = str(fields.get("code") or ""), str(fields.get("param") or "")
    return str(message)[:_REFUSAL_CHARS], code, parameter


def _schema(request: Request) -> dict[str, Any]:
    # Not `strict`: in that mode OpenAI takes no bounds of strings and lists, and ours have some.
    name = re.sub(r"[^A-Za-z0-9_-]", "_", request.prompt.partition("@")[0])[:64]
    return {"name": name or "answer", "schema": orjson.loads(request.schema), "strict": False}


def _with_schema(turns: list[tuple[str, str]], schema: str) -> list[tuple[str, str]]:
    instructions = f"{_BY_SCHEMA}\n{schema}"
    if turns and turns[0][0] == "system":
        return [("system", f"{turns[0][1]}\n\n{instructions}"), *turns[1:]]
    return [("system", instructions), *turns]


def _status(finish_reason: object, refusal: object) -> Status:
    if refusal or finish_reason == "content_filter":
        return "refused"
    return "truncated" if finish_reason == "length" else "ok"


def _text(status: Status, refusal: object, content: object) -> str | None:
    """What was answered; a model that thinks may reach its bound before it says anything."""
    if status == "refused":
        return str(refusal or content or "the endpoint's filter")
    return content if isinstance(content, str) else "" if status == "truncated" else None


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnreadableError(f"the body has no `choices`: {_start(orjson.dumps(body))}")
    return _mapping(cast("list[object]", choices)[0])


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise UnreadableError(f"the body is no JSON: {_start(raw)}") from None
    if not isinstance(body, dict):
        raise UnreadableError(f"the body is no JSON object: {_start(raw)}")
    return cast("dict[str, Any]", body)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _start(raw: bytes) -> str:
    return repr(raw[:_RAW_CHARS].decode("utf-8", "replace")) if raw else "(empty)"
