"""What one fact says of a person, and the text it says it in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["attribute", "preference", "habit", "relation"]

SELF = "@"
"""Stands for the speaker in a sentence made ready for patterns."""

DIRECT, REPORTED, INDIRECT = 0.7, 0.5, 0.4
"""How far one session of evidence carries: said of oneself; of another or of "us"; implied."""

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”)]*\s+|\n+")
_ASIDE = re.compile(r"\[[^\]\n]*\]|\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”| \([^()]{1,60}\)")
UNREAL = re.compile(
    r"\b(?:if|unless|might|(?-i:may)|maybe|perhaps|would|could|should|wish\w*|hop(?:e|es|ing)|want\w*|"
    r"plan\w*|used to|no longer|not|never|almost|imagin\w*|dream\w*|suppose\w*|any ?more|"
    r"[a-z]+n['’]t|as though|as if|tempted|back when|as a (?:kid|child)|when @ was)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Claim:
    """A fact's claim about a person.

    Attributes:
        row: row of the fact.
        person: the person, as written.
        kind: kind of persona.
        attribute: what of the person.
        value: the value, as written.
        key: the value by which claims are equal.
        weight: how far the claim carries by itself, 0..1.
        slot: what holds one value at a time, where it does: values in it follow each other.
        ends: the claim says that the trait ended, or will,
        when: at this time; None is the time it was said.
        repeated: the trait is believed only where several sessions show it.
        from_triple: read from the fact's attribute and value, not from its words.
        made_by: who read it: rules, or a model.
    """

    row: int
    person: str
    kind: Kind
    attribute: str
    value: str
    key: str
    weight: float
    slot: str | None = None
    ends: bool = False
    when: int | None = None
    repeated: bool = False
    from_triple: bool = False
    made_by: Literal["rules", "llm"] = "rules"


@dataclass(frozen=True)
class Said:
    """The sentences of a fact in which its speaker, a person, is `@`; `whole` is all of them."""

    row: int
    speaker: str
    whole: str
    sentences: tuple[str, ...]


def said_by(row: int, speaker: str, text: str) -> Said:
    """The statements of a fact, without questions, quotations and asides."""
    plain = text
    if "?" in plain:
        plain = " ".join(_statements(plain))
    plain = _ASIDE.sub("", plain) if any(mark in plain for mark in '["“(') else plain
    named = _swap(plain, speaker)
    return Said(row, speaker, named, tuple(part for part in _SENTENCE.split(named) if part))


def _statements(text: str) -> Iterator[str]:
    return (part for part in _SENTENCE.split(text) if not part.rstrip("\"'”) ").endswith("?"))


def _swap(text: str, speaker: str) -> str:
    """The text with `@` for the speaker's whole name."""
    if speaker not in text:
        return text
    return re.sub(rf"(?<!\w){re.escape(speaker)}(?!\w)", SELF, text)


def words(text: str) -> frozenset[str]:
    """A set of words, written as one text."""
    return frozenset(text.split())


def plain_value(text: str) -> str:
    """A value as it stands in a persona: `their` for the speaker's own."""
    text = re.sub(r"@['’]s\b|\b[Mm]y\b", "their", text)
    return " ".join(text.split()).strip(" .,;:!'\"-–—")


Column = dict[str, list[Any]]
