"""Facts as the rules of relations see them: clauses with topic words, polarity and tense."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from operators.relations.vocabulary import (
    ASKING,
    CLAUSE_WORDS,
    CONNECTIVES,
    COUNTS,
    ENDINGS,
    HEDGES,
    LEADING,
    STOP_WORDS,
    is_negation,
    is_past,
    stem,
    words,
)

# Pictures are described by others, and resolved dates repeat what the words say.
_ASIDE = re.compile(r"\[image:[^\]]*\]|https?://\S+|\s\([^()]{0,24}\b\d{4}\)|->->.*")
_TOKEN = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*|[.,!?;:\n]")
_PUNCTUATION = frozenset(".,!?;:\n")
_CODE = "```"
_MACHINES = frozenset({"assistant", "ai", "bot", "model", "chatgpt", "system"})
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)$")
_AUXILIARY = words("was were had did got said told felt thought knew found")
_HAVE = frozenset({"has", "have", "i've", "we've"})
_BE = words("is are am was were be i'm we're it's he's she's they're feel feels felt gets getting")
_OURSELVES = frozenset({"we", "i"})
_REACH = 4
_MAX_CHARS = 1200
_RARE_SHARE, _RARE_LEAST = 0.02, 6


class Clause(NamedTuple):
    """A stretch of a statement between punctuation and conjunctions."""

    words: tuple[str, ...]
    stems: frozenset[str]
    numbers: frozenset[str]
    head: str
    """The first word that carries sense, mostly the subject; speakers are named there."""
    opener: str
    """The conjunction that begins it, or ""."""
    denied: bool
    hedged: bool
    asks: bool
    past: bool
    done: frozenset[str]
    """What the head did: verbs in a past form close behind it."""

    @property
    def states(self) -> bool:
        """Whether it states something, rather than ask, wish or suppose it."""
        return not (self.hedged or self.asks)

    def is_number(self, word: str) -> bool:
        """Whether the word is one of the numbers."""
        return word[0].isdigit() or word in COUNTS

    def topic(self, start: int, end: int | None = None) -> frozenset[str]:
        """Topic words between two places."""
        return self.stems.intersection(map(stem, self.words[start:end]))


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A fact, prepared for comparison with others of its conversation."""

    rank: int
    """Place in the event order of the conversation."""
    fact_id: str
    text: str
    speaker: str
    voice: frozenset[str]
    """The words of the speaker's name."""
    session_id: str
    cell_id: str
    message_id: str
    ordinal: int
    seq: int
    event_time: int
    occurred: tuple[int, int] | None
    triple: tuple[str, str, str] | None
    """Subject and value folded to lower case."""
    clauses: tuple[Clause, ...]
    stems: frozenset[str]
    stated: frozenset[str]
    """Stems of the clauses that state something."""
    telling: frozenset[str]
    """Stems that few facts of the conversation share."""
    deeds: tuple[Clause, ...]
    """What the speaker, or "we", is told to have done."""
    never: tuple[Clause, ...]
    """What is told as never done: "has never ..."."""
    denies: bool
    connects: bool
    """Whether it has a word that names a cause or a consequence."""
    ends: bool
    """Whether it has a word that tells of an end or a change."""
    numbers: frozenset[str]
    names: frozenset[str]
    """Names it mentions, as stems, without those of the speakers."""


def is_machine(role: str | None, speaker: str) -> bool:
    """Whether an assistant said it: advice, no memory of a person."""
    return _lower(role or speaker) in _MACHINES


def statements(column: dict[str, list[Any]], rows: Sequence[int]) -> list[Statement]:
    """The facts of one conversation, given and returned in event order."""
    people = {word for row in rows for word in _lower(column["speaker"][row]).split()}
    reader = _Reader(frozenset(stem(word) for word in people))
    clauses = [reader.clauses(column["text"][row]) for row in rows]
    stems = [_union(own) for own in clauses]
    spread = Counter(word for own in stems for word in own)
    limit = max(_RARE_LEAST, int(_RARE_SHARE * len(rows)))
    rare = frozenset(word for word, count in spread.items() if count <= limit)
    return [
        _statement(rank, row, column, (clauses[rank], stems[rank], rare, reader.people))
        for rank, row in enumerate(rows)
    ]


def _statement(
    rank: int,
    row: int,
    column: dict[str, list[Any]],
    read: tuple[tuple[Clause, ...], frozenset[str], frozenset[str], frozenset[str]],
) -> Statement:
    clauses, stems, rare, people = read
    names = {stem(word) for name in column["entities"][row] for word in _lower(name).split()}
    start, end = column["occurred_start"][row], column["occurred_end"][row]
    said = {opener for clause in clauses if (opener := clause.opener)}
    said.update(*[clause.words for clause in clauses])
    voice = frozenset(_lower(column["speaker"][row]).split())
    triple = tuple(column[name][row] for name in ("subject", "attribute", "value"))
    return Statement(
        rank=rank,
        fact_id=column["fact_id"][row],
        text=column["text"][row],
        speaker=column["speaker"][row],
        voice=voice,
        session_id=column["session_id"][row],
        cell_id=column["cell_id"][row],
        message_id=column["message_id"][row],
        ordinal=column["ordinal"][row],
        seq=column["seq"][row],
        event_time=column["event_time"][row],
        occurred=None if start is None or end is None else (start, end),
        triple=None if None in triple else (_fold(triple[0]), triple[1], _fold(triple[2])),
        clauses=clauses,
        stems=stems,
        stated=_union(clause for clause in clauses if clause.states),
        telling=stems & rare,
        deeds=tuple([c for c in clauses if c.done and own(c, voice) and c.states and not c.denied]),
        never=tuple([c for c in clauses if _never(c)]) if "never" in said else (),
        denies=any(clause.denied for clause in clauses),
        connects=not CONNECTIVES.isdisjoint(said),
        ends=not ENDINGS.isdisjoint(said),
        numbers=frozenset([number for clause in clauses for number in clause.numbers]),
        names=(stems & frozenset(names)) - people,
    )


def _union(clauses: Iterable[Clause]) -> frozenset[str]:
    return frozenset[str]().union(*[clause.stems for clause in clauses])


def _never(clause: Clause) -> bool:
    if clause.asks or not clause.past or "never" not in clause.words:
        return False
    at = clause.words.index("never")
    return at > 0 and clause.words[at - 1] in _HAVE


class _Word(NamedTuple):
    """What is looked up of a word."""

    stem: str
    """Empty where the word has no topic."""
    denies: bool
    hedges: bool
    past: bool
    number: bool


class _Reader:
    """Reads clauses; words of a conversation repeat, so each is looked at once."""

    def __init__(self, people: frozenset[str]) -> None:
        self.people = people
        self._words: dict[str, _Word] = {}

    def clauses(self, text: str) -> tuple[Clause, ...]:
        """The clauses with words; none for code."""
        if _CODE in text:
            return ()
        plain = text[:_MAX_CHARS].replace("’", "'")
        if "(" in plain or "[" in plain or "->->" in plain or "://" in plain:
            plain = _ASIDE.sub(" ", plain)
        out: list[Clause] = []
        spoken: list[str] = []
        opener = ""
        for token in _TOKEN.findall(plain.lower()):
            if token in _PUNCTUATION:
                if spoken:
                    out.append(self._clause(spoken, opener, token == "?"))
                    spoken, opener = [], ""
            elif token in CLAUSE_WORDS:
                if spoken:
                    out.append(self._clause(spoken, opener, asked=False))
                    spoken = []
                opener = token
            else:
                spoken.append(token)
        if spoken:
            out.append(self._clause(spoken, opener, asked=False))
        return tuple(out)

    def _clause(self, spoken: list[str], opener: str, asked: bool) -> Clause:
        stems: list[str] = []
        numbers: list[str] = []
        done: list[str] = []
        denials = 0
        hedged = past = False
        head = next((at for at, word in enumerate(spoken) if word not in LEADING), 0)
        reach = range(head + 1, head + _REACH)
        for at, word in enumerate(spoken):
            known = self._words.get(word) or self._learn(word)
            if known.stem:
                stems.append(known.stem)
            if known.past:
                past = True
                if at in reach and word not in _AUXILIARY and _BE.isdisjoint(spoken[head:at]):
                    done.append(stem(word))
            if known.hedges:
                hedged = True
            if known.denies:
                denials += 1
            if known.number:
                numbers.append(bare_number(word))
        return Clause(
            words=tuple(spoken),
            stems=frozenset(stems),
            numbers=frozenset(numbers),
            head=spoken[head],
            opener=opener,
            denied=denials % 2 == 1,
            hedged=hedged,
            asks=asked or spoken[0] in ASKING,
            past=past,
            done=frozenset(done),
        )

    def _learn(self, word: str) -> _Word:
        base = stem(word)
        digit = word[0].isdigit()
        denies = is_negation(word)
        silent = (
            denies
            or digit
            or word in COUNTS
            or len(base) < 2
            or word in STOP_WORDS
            or base in self.people
        )
        known = _Word(
            stem="" if silent else base,
            denies=denies,
            hedges=word in HEDGES,
            past=is_past(word),
            number=digit or word in COUNTS,
        )
        self._words[word] = known
        return known


def _lower(text: str) -> str:
    return text.lower().replace("’", "'")


def _fold(value: str) -> str:
    return " ".join(value.casefold().split()).strip(" .,;:!?\"'")


def bare_number(word: str) -> str:
    """The number without the ending of an ordinal."""
    return _ORDINAL.sub("", word) if word[0].isdigit() else word


def own(clause: Clause, speaker: frozenset[str]) -> bool:
    """Whether the clause is about its speaker (the words of the name), or "we"."""
    return clause.head in speaker or clause.head.partition("'")[0] in _OURSELVES


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of common members, four digits."""
    return round(len(one & other) / max(len(one | other), 1), 4)


def covered(part: frozenset[str], whole: Iterable[str]) -> float:
    """Share of `part` that lies in `whole`, four digits."""
    return round(len(part.intersection(whole)) / max(len(part), 1), 4)
