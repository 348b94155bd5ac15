"""Who is a person: those who speak, assistants apart, and those whom statements name."""

import re

_MACHINES = frozenset(
    ["assistant", "ai", "bot", "model", "chatgpt", "system", "tool", "function", "developer"]
)
_ROLE_NAMES = {"user": "User", "human": "User"}
_NAME = re.compile(r"[A-Z][\w'’.-]*(?: (?:[a-z]{1,3} )?[A-Z][\w'’.-]*){0,3}$")


def is_human(speaker: str, role: str | None) -> bool:
    """Whether a speaker is a person rather than an assistant or a tool."""
    return speaker.casefold() not in _MACHINES and (role or "").casefold() not in _MACHINES


def person_name(speaker: str) -> str:
    """The name that statements give a speaker: `User` for one known by role only."""
    return _ROLE_NAMES.get(speaker.casefold(), speaker)


def person_key(name: str) -> str:
    """The form by which two spellings of a person are equal."""
    return " ".join(name.casefold().split())


def looks_like_name(text: str) -> bool:
    """Whether `text` is written like the name of a person.

    >>> looks_like_name("Eva Lund"), looks_like_name("lock integration")
    (True, False)
    """
    return _NAME.match(text) is not None
