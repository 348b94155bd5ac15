"""The numbered lines of a prompt, `[n] Speaker: text`, and near-verbatim parts of them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

_LINE = re.compile(r"^\s*\[(\d+)\]\s*(.*\S)\s*$", re.MULTILINE)
_DAY_FIRST = re.compile(r"^\(?\d{4}-\d{2}-\d{2}[^\w\"“]*")
_SPEAKER = re.compile(
    r"^([^\W\d_][\w'’.-]*(?: [\w'’.-]+){0,3})(?: ?\([^)]*\))?: +(.*)$",
    re.DOTALL,
)
_SENTENCE = re.compile(r"[^.!?]+(?:[.!?]+(?=\s|$)|[.!?](?=\S)[^.!?]*)*[.!?]*")
_WORD = re.compile(r"[^\W_][\w'’-]*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_WRITTEN_DATE = re.compile(rf"\b(\d\d?) ({'|'.join(_MONTHS)})[a-z]*,? (\d\d\d\d)\b", re.IGNORECASE)
_TOLD = (
    (re.compile(r"\bI(?:'m|’m| am)\b"), "{} is"),
    (re.compile(r"\bI(?:'ve|’ve| have)\b"), "{} has"),
    (re.compile(r"\bI(?:'ll|’ll)\b"), "{} will"),
    (re.compile(r"\bI(?:'d|’d)\b"), "{} would"),
    (re.compile(r"\bI\b"), "{}"),
    (re.compile(r"\b[Mm]y\b"), "{}'s"),
    (re.compile(r"\b[Mm]e\b"), "{}"),
    (re.compile(r"\b[Mm]yself\b"), "{}"),
)
_CAPITALISED_FOR_NO_REASON = """
    i i'm i've i'll i'd it it's the a an and but so yes yeah no oh ok okay hey hi hello wow what
    that's how that this these those thanks thank he she they we you there here when where who
    why if in on at my our your his her bye
"""
_NO_NAMES = frozenset(_CAPITALISED_FOR_NO_REASON.split())
_LONG = 6


@dataclass(frozen=True)
class Line:
    """One numbered line.

    Attributes:
        number: as written in brackets.
        speaker: the label before the colon; "" without one.
        text: the rest, without a date at its beginning.
        date: the first date that is written out in it, as YYYY-MM-DD.
    """

    number: int
    speaker: str
    text: str
    date: str | None = None

    @cached_property
    def sentence(self) -> str:
        """Its most telling sentence, verbatim: the longest one that is no question."""
        found = [part.strip() for part in _SENTENCE.findall(self.text)]
        told = [part for part in found if part and not part.endswith("?")]
        return max(told or found or [self.text], key=len) or self.text

    @property
    def statement(self) -> str:
        """The sentence with the speaker as its subject."""
        if not self.speaker:
            return self.sentence
        told = self.sentence
        for first_person, third in _TOLD:
            told = first_person.sub(third.format(self.speaker), told)
        return told if self.speaker in told else f"{self.speaker} said: {told}"

    @property
    def words(self) -> list[str]:
        """Words of the text."""
        return _WORD.findall(self.text)

    @property
    def names(self) -> list[str]:
        """The speaker and the capitalised words of the sentence, in order, each once."""
        capitalised = [
            w
            for w in _WORD.findall(self.sentence)
            if w[0].isupper() and w.casefold() not in _NO_NAMES
        ]
        return list(dict.fromkeys([self.speaker, *capitalised] if self.speaker else capitalised))

    @property
    def long_words(self) -> list[str]:
        """Long words of the sentence in lower case, in order, each once."""
        return list(
            dict.fromkeys(w.lower() for w in _WORD.findall(self.sentence) if len(w) >= _LONG)
        )


def first_date(text: str) -> str | None:
    """The first date written out in a text, as YYYY-MM-DD."""
    if found := _ISO_DATE.search(text):
        return found.group()
    if found := _WRITTEN_DATE.search(text):
        day, month, year = found.groups()
        return f"{year}-{_MONTHS.index(month[:3].lower()) + 1:02d}-{int(day):02d}"
    return None


def numbered_lines(turns: Sequence[tuple[str, str]]) -> list[Line]:
    """Numbered lines of the last user turn that has any, else the sentences of the last one."""
    said = [text for role, text in turns if role == "user"]
    for text in reversed(said):
        if found := _LINE.findall(text):
            return [_line(int(number), rest) for number, rest in found]
    last = said[-1] if said else ""
    rows = (row for row in last.splitlines() if not row.rstrip().endswith((":", "{", "}")))
    parts = (part for row in rows for part in _unnumbered(row))
    return [Line(number, speaker, text) for number, (speaker, text) in enumerate(parts, 1)]


def _line(number: int, rest: str) -> Line:
    text = _DAY_FIRST.sub("", rest) or rest
    found = _SPEAKER.match(text)
    speaker, text = (found[1].removesuffix(" said"), found[2]) if found else ("", text)
    return Line(number, speaker, text, first_date(rest))


def _unnumbered(row: str) -> list[tuple[str, str]]:
    line = _line(0, row.strip())
    sentences = (part.strip() for part in _SENTENCE.findall(line.text))
    return [(line.speaker, part) for part in sentences if part]


def cut(text: str, limit: int) -> str:
    """The text, or its first words that fit into so many characters."""
    if len(text) <= limit:
        return text
    head, _, _ = text[: limit + 1].rpartition(" ")
    return (head or text)[:limit].rstrip()


def draw(*parts: str) -> int:
    """A number that depends on these words alone."""
    digest = hashlib.blake2b("\x00".join(parts).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
