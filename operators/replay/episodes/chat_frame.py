"""A model's chat template, cut where the user's message stands."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

_SENTINEL = "MEMORYFLOW-HISTORY-AND-QUESTION"
_NO_DAY = datetime(2024, 1, 1, tzinfo=UTC)


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    chat_template: Any
    bos_token: Any
    apply_chat_template: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tokens of texts."""
        ...


def chat_frame(tokenizer: Tokenizer, system: str) -> tuple[str, str]:
    """What a prompt holds before and after the user's message, special tokens as text.

    A tokenizer without a chat template gets plain text. A template that knows no system
    message (or drops it) gets it at the start of the user's. Raises `ValueError` for a
    template that does not hand the user's message through exactly once. Deterministic: a
    template that writes today's date gets a fixed one, since caches outlive the day.
    """
    if not tokenizer.chat_template:
        return f"{tokenizer.bos_token or ''}{system}\n\n", "\nAnswer:"
    user = {"role": "user", "content": _SENTINEL}
    try:
        head, tail = _cut(tokenizer, [{"role": "system", "content": system}, user])
    except ValueError:
        raise
    except Exception:  # Templates refuse a role in their own words.
        head, tail = "", ""
    if system not in head:
        head, tail = _cut(tokenizer, [user])
        head = f"{head}{system}\n\n"
    return head, tail


def _cut(tokenizer: Tokenizer, messages: Sequence[dict[str, str]]) -> tuple[str, str]:
    rendered: str = tokenizer.apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,  # Thinking models answer in 64 tokens only without it.
        strftime_now=_NO_DAY.strftime,  # Shadows the template's clock.
    )
    if rendered.count(_SENTINEL) != 1:
        raise ValueError(
            "the model's chat template does not give the user's message back exactly once, so "
            "a history cannot be put in front of a question; take another model"
        )
    head, _, tail = rendered.partition(_SENTINEL)
    return head, tail
