"""A call of a language model: request and answer, as they are recorded."""

from dataclasses import dataclass
from typing import Literal

from operators.llm.spec import OpenAiLlm, VllmLlm
from schemas.ids import content_id
from schemas.message import canonical_json

Status = Literal["ok", "truncated", "refused", "unanswered", "predicted"]
"""`ok`: an answer, valid or not. `truncated`: it ran into `max_tokens`. `refused`: the engine
will not answer this request (a filter, too long a prompt). `unanswered`: all attempts failed;
it is not recorded, and the next run asks again. `predicted`: nobody was asked (`explain`)."""


@dataclass(frozen=True)
class Request:
    """What is asked, and for whom.

    Attributes:
        tenant: owner of the conversation.
        conversation_id: conversation that the call is for.
        session_id: session it is for; "" for the whole conversation.
        prompt: name, version and hash of the prompt (`Prompt.identity`).
        turns: (role, text) of the chat; what requests have in common stands first, so that
            prefix caches hit.
        schema: JSON schema of the answer (`Prompt.schema`).
        max_tokens: longest answer.
    """

    tenant: str
    conversation_id: str
    session_id: str
    prompt: str
    turns: tuple[tuple[str, str], ...]
    schema: str
    max_tokens: int

    def call_id(self, llm: VllmLlm | OpenAiLlm) -> str:
        """Hash of all that decides the answer: equal id, equal call.

        The conversation is not in it: the same words in two conversations are one call.
        """
        turns = [part for turn in self.turns for part in turn]
        identity = canonical_json(llm.identity)
        return content_id("call", identity, self.prompt, self.schema, self.max_tokens, *turns)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        call_id: `Request.call_id`.
        status: see `Status`.
        text: the answer; what the engine said where it refused; "" where there is none.
        tokens_in: tokens of the prompt.
        tokens_out: tokens of the answer.
        cached_tokens: tokens of the prompt found in the engine's prefix cache.
        latency_ms: from sending to the whole answer, waiting in the engine included.
    """

    call_id: str
    status: Status
    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    latency_ms: float = 0.0
