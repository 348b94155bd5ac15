"""A model's answer about a portion of a conversation, checked and put into columns of `facts`.

Nothing that a model writes is trusted: every name, number and date is looked up in what the
model was shown, spans are searched for, names of attributes are normalised.
"""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from operators.extract.attribute_names import attribute_name
from operators.extract.dates import annotate, find_dates
from operators.extract.entities import MAX_ENTITIES, STOP, find_entities
from operators.extract.evidence import Evidence
from operators.extract.found_times import Time, when
from operators.extract.grounding import claims, unsupported
from operators.extract.importance import importance
from operators.extract.llm_output import FoundFact, FoundFacts
from operators.extract.portions import Piece, Portion, one_line
from operators.extract.quotes import locate
from operators.extract.rows import Row
from operators.extract.speakers import ROLES, called
from operators.statements import exact_form

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAY_MICROS = 86_400_000_000
_DATED_ATTRIBUTES = frozenset({"launch_date", "deadline"})


@dataclass
class Read:
    """Facts read from one answer: rows without ids, by the number of their main line.

    `ungrounded` counts those with names, numbers or dates that nothing shown holds, `repeated`
    those that say again what the answer said before.
    """

    rows: list[tuple[int, Row]] = field(default_factory=list[tuple[int, Row]])
    found: int = 0
    ungrounded: int = 0
    repeated: int = 0


class PortionReader:
    """Reads answers about one portion.

    Args:
        portion: what was asked about.
        keep_ungrounded: keep such facts, with `unsupported` filled.
    """

    def __init__(self, portion: Portion, *, keep_ungrounded: bool) -> None:
        self._portion = portion
        self._keep = keep_ungrounded
        people = {piece.row["speaker"] for piece in portion.pieces}
        self._people = frozenset(p for p in people if p.lower() not in ROLES)

    @cached_property
    def _evidence(self) -> list[Evidence]:
        """Of each line, then of what was shown before, then of the header."""
        portion = self._portion
        shown = [_evidence(piece, f"{piece.speaker}: ") for piece in portion.pieces]
        base = _day(portion.pieces[0].row)
        before = _evidence(portion.before, "") if portion.before_text and portion.before else None
        return [*shown, before or Evidence("", base), Evidence(portion.header, base)]

    @cached_property
    def _plain(self) -> list[Evidence]:
        """Of each line without its speaker: offsets are those of the piece."""
        return [_evidence(piece, "") for piece in self._portion.pieces]

    def read(self, answer: FoundFacts) -> Read:
        """Rows of all facts that can be kept, in order of their lines."""
        out = Read(found=len(answer.facts))
        seen: set[str] = set()
        for given in sorted(answer.facts, key=lambda fact: fact.line):  # stable
            fact = _tidied(given)
            form = exact_form(fact.text)
            if form in seen:
                out.repeated += 1
                continue
            seen.add(form)
            missing, sources = self._checked(fact)
            out.ungrounded += bool(missing)
            if not missing or self._keep:
                out.rows.append((fact.line - 1, self._row(fact, missing, sources)))
        return out

    def _checked(self, fact: FoundFact) -> tuple[list[str], list[str]]:
        """What nothing shown supports, and the messages that the fact rests on."""
        lines = len(self._portion.pieces)
        main = fact.line - 1
        cited = list(dict.fromkeys([main, *(n - 1 for n in fact.also if 1 <= n <= lines)]))
        header = lines + 1
        near = [k for k in range(header) if k not in cited]
        base = self._plain[main].base
        claimed = claims(fact.text, base, self._people)
        for part in (fact.subject, fact.value):  # "= " because they open no sentence
            claimed += claims(f"= {part}", base, self._people) if part else []
        missing, needed = unsupported(
            claimed,
            [self._evidence[k] for k in (*cited, header)],
            [self._evidence[k] for k in near],
        )
        used = [*cited, *(near[k] for k in needed)]
        return missing, list(dict.fromkeys(self._message_id(k) for k in used))

    def _message_id(self, place: int) -> str:
        pieces = self._portion.pieces
        piece = pieces[place] if place < len(pieces) else self._portion.before
        return str((piece or pieces[0]).row["message_id"])

    def _row(self, fact: FoundFact, missing: list[str], sources: list[str]) -> Row:
        piece, plain = self._portion.pieces[fact.line - 1], self._plain[fact.line - 1]
        spot = locate(fact.quote, piece.text) or (0, len(piece.text))
        time = when(fact, plain, self._evidence)
        entities = self._entities(fact)
        subject, attribute, value = _triple(fact, piece, plain.base)
        return {
            **_source(piece.row, self._portion.cell_id),
            "source_message_ids": sources,
            "span_start": piece.start + spot[0],
            "span_end": piece.start + spot[1],
            "text": _absolute(fact.text, plain.base),
            "kind": fact.kind,
            **_occurred(time),
            "importance": importance(
                f"{piece.text[slice(*spot)]} {fact.text}",
                names=sum(name != piece.speaker for name in entities),
                dated=time.first is not None,
                question=False,
                code=False,
            ),
            "entities": entities,
            "topics": list(dict.fromkeys(topic.casefold() for topic in fact.topics)),
            "unsupported": missing,
            "subject": subject,
            "attribute": attribute,
            "value": value,
            "extractor": "llm_facts",
        }

    def _entities(self, fact: FoundFact) -> list[str]:
        """Names that the statement holds: the model's, as written there, and those of the rules."""
        at: dict[str, tuple[int, str]] = {}
        for name in [*fact.entities, *find_entities(fact.text, self._people)]:
            spot = locate(name, fact.text)
            written = fact.text[slice(*spot)] if spot else ""
            if any(c.isupper() or c.isdigit() for c in written) and written.lower() not in STOP:
                at.setdefault(written.casefold(), (spot[0] if spot else 0, written))
        return [name for _, name in sorted(at.values())][:MAX_ENTITIES]


def objection(lines: int, answer: FoundFacts) -> str | None:
    """What makes an answer about so many lines unusable and worth asking for again."""
    for number, fact in enumerate(answer.facts, 1):
        if fact.line > lines:
            return f"fact {number} names line {fact.line}, but the lines are 1 to {lines}"
        if not any(c.isalnum() for c in fact.text):
            return f"fact {number} has no text"
    return None


def _tidied(fact: FoundFact) -> FoundFact:
    """Without line breaks, control characters and empty list items."""
    plain = {
        name: one_line(value)
        for name, value in fact.model_dump(exclude={"line", "kind", "also"}).items()
        if isinstance(value, str)
    }
    lists = {
        name: [word for word in map(one_line, values) if word]
        for name, values in (("entities", fact.entities), ("topics", fact.topics))
    }
    return fact.model_copy(update={**plain, **lists})


def _absolute(text: str, base: date) -> str:
    """`text` with the date after each relative expression, as `rule_facts` writes it."""
    dates = find_dates(text, base)
    return annotate(text, [d for d in dates if d.label and d.label not in text])


def _triple(fact: FoundFact, piece: Piece, base: date) -> tuple[str | None, str | None, str | None]:
    """Subject, attribute and value, or nothing unless attribute and value are given."""
    attribute, value = attribute_name(fact.attribute), fact.value.strip(" .,;")
    if not (attribute and value):
        return None, None, None
    if attribute in _DATED_ATTRIBUTES:
        dates = find_dates(f"on {value}", base) or find_dates(value, base)
        if dates and (dates[0].last - dates[0].first).days == 1:
            value = dates[0].first.isoformat()  # two ways to write a day are one value
    return called(fact.subject or piece.speaker), attribute, value


def _source(row: Row, cell_id: str) -> Row:
    names = ("tenant", "conversation_id", "session_id", "message_id", "seq", "speaker", "role")
    return {name: row[name] for name in names} | {
        "cell_id": cell_id,
        "event_time": row["timestamp"],
        "status": "active",
    }


def _occurred(time: Time) -> Row:
    return {
        "occurred_start": _micros(time.first),
        "occurred_end": _micros(time.last),
        "time_text": time.words,
    }


def _micros(day: date | None) -> int | None:
    return None if day is None else (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MICROS


def _day(row: Row) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + row["timestamp"] // _DAY_MICROS)


def _evidence(piece: Piece, prefix: str) -> Evidence:
    return Evidence(prefix + piece.text, _day(piece.row))
