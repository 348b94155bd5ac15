"""OpenAI chat completions: what a request asks for, and the form of the reply."""

from dataclasses import dataclass
from typing import Any

from benchmarks.llm.guessed_form import guessed_schema
from benchmarks.llm.lines import numbered_lines
from benchmarks.llm.plausible import plausible_answer

_LONGEST = 4096
_WORDS_OF_A_PROMPT = 8
_SENTENCES = 8


class BadRequestError(ValueError):
    """What the simulator does not understand, and what to send instead."""


@dataclass(frozen=True)
class ChatRequest:
    """A request, read.

    Attributes:
        model: as named by the client.
        turns: (role, text).
        schema: JSON schema of the answer; null for text.
        max_tokens: longest answer.
        tool: the tool that must be called, if one must; the schema is its parameters'.
    """

    model: str
    turns: tuple[tuple[str, str], ...]
    schema: dict[str, Any] | None
    max_tokens: int
    tool: str | None = None

    @property
    def prompt(self) -> str:
        """The first words of the first turn, which is the system message as a rule."""
        words = self.turns[0][1][:400].split() if self.turns else []
        return " ".join(words[:_WORDS_OF_A_PROMPT])

    def answer(self) -> str:
        """JSON that is valid for the schema, or sentences of the last user turn."""
        if self.schema is not None:
            return plausible_answer(self.turns, self.schema, self.max_tokens)
        return " ".join(line.statement for line in numbered_lines(self.turns)[:_SENTENCES])


def read_request(body: Any) -> ChatRequest:
    """A request from its JSON.

    Raises:
        BadRequestError: it cannot be answered.
    """
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise BadRequestError("the body must be a JSON object with a list `messages`")
    if body.get("stream"):
        raise BadRequestError("streaming is not simulated: send `stream: false`")
    if body.get("n", 1) != 1:
        raise BadRequestError("one answer a request: send `n: 1`")
    turns = tuple(_turn(message) for message in body["messages"])
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or _LONGEST
    tool, schema = _forced_tool(body)
    if schema is None:
        schema = _schema(body.get("response_format") or {"type": "text"}, turns)
    return ChatRequest(str(body.get("model", "")), turns, schema, int(longest), tool)


def _turn(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict) or "role" not in message:
        raise BadRequestError("each message must be an object with `role` and `content`")
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(part.get("text", "") for part in content)
    return str(message["role"]), str(content)


def _schema(form: dict[str, Any], turns: tuple[tuple[str, str], ...]) -> dict[str, Any] | None:
    match form.get("type"):
        case "json_schema":
            return form["json_schema"]["schema"]
        case "json_object":
            return guessed_schema(turns)
        case "text":
            return None
        case other:
            raise BadRequestError(f"response_format {other!r}: use json_schema, json_object, text")


def _forced_tool(body: dict[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
    """The tool that `tool_choice` demands; tools that may be called are ignored."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    for tool in tools:
        function = tool.get("function", {})
        if named == function.get("name") or choice in ("required", "any"):
            return function["name"], function.get("parameters") or {"type": "object"}
    return None, None


def reply(
    request: ChatRequest, key: str, content: str | None, finish: str, usage: tuple[int, int, int]
) -> dict[str, Any]:
    """The body of a reply; `usage` is tokens in, out, and cached. No content: a refusal."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if content is None:
        message["refusal"] = "I'm sorry, but I can't help with that."
    elif request.tool is not None:
        call = {"name": request.tool, "arguments": content}
        message["content"] = None
        message["tool_calls"] = [{"id": f"call_{key}", "type": "function", "function": call}]
        finish = "tool_calls" if finish == "stop" else finish
    tokens_in, tokens_out, cached = usage
    return {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
