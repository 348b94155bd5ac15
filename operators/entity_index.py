"""Entities: the people and named things of a conversation, and the facts that mention them."""

import re
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, MESSAGE_ORDER, SCOPE, from_rows, groups, need, values
from schemas.ids import content_id

_POSSESSIVE = re.compile(r"(?:['’][sS]|(?<=[sS])['’])$")
_FACT_COLUMNS = (
    *("status", "fact_id", "message_id", "session_id", "event_time"),
    *("entities", "speaker", "text"),
)


@dataclass
class _Entity:
    """What is known of one entity while its conversation is read in event order."""

    spellings: Counter[str] = field(default_factory=Counter[str])
    mentions: dict[int, str] = field(default_factory=dict[int, str])  # fact row -> surface
    spoke: list[int] = field(default_factory=list[int])  # times of messages, of a speaker


class EntityIndex(Operator, frozen=True):
    """Index the names that facts mention, merging spellings by rules.

    Method: alias sets by rule, a commutative fold (no co-occurrence model, no model call).
    Names are equal without case, spacing and possessive. A first name stands for the full
    name where the conversation has exactly one ("Ann" for "Ann Lee"; with "Ann Ray" there
    too it stays alone). A full name is two capitalised words, or the name of a speaker; a
    speaker's own first name stays the speaker's.

    Facts that are not duplicates count, superseded ones too: the past keeps its names. A
    speaker is an entity even if no fact mentions them (seen when they spoke, 0 mentions); the
    speaker of a fact counts as mentioned only where its text has the name.

    Input: `facts`, `messages`. Output: `entities`, `mentions` (one per entity and fact).
    Errors: none. Cost: none. Deterministic.
    """

    operator: Literal["entity_index"] = "entity_index"

    READS: ClassVar[tuple[str, ...]] = ("facts", "messages")
    WRITES: ClassVar[tuple[str, ...]] = ("entities", "mentions")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Index all conversations of the call."""
        del models
        facts = need(tables, "facts", self.operator)
        messages = need(tables, "messages", self.operator)
        column = {name: values(facts, name) for name in _FACT_COLUMNS}
        said = {name: values(messages, name) for name in ("speaker", "timestamp", "is_current")}
        fact_rows = groups(facts, SCOPE, FACT_ORDER)
        message_rows = groups(messages, SCOPE, MESSAGE_ORDER)
        entities: list[dict[str, Any]] = []
        mentions: list[dict[str, Any]] = []
        for scope in sorted(fact_rows.keys() | message_rows.keys()):
            rows = [r for r in fact_rows.get(scope, []) if column["status"][r] != "duplicate"]
            spoken = [r for r in message_rows.get(scope, []) if said["is_current"][r]]
            found = _collect(rows, column, spoken, said)
            for normal, entity in found.items():
                entity_id = content_id("entity", scope[0], normal)
                entities.append(_entity_row(scope, entity_id, entity, column))
                mentions += _mention_rows(scope, entity_id, entity, column)
        out = {
            "entities": from_rows("entities", entities),
            "mentions": from_rows("mentions", mentions),
        }
        return StepResult(out, {"in": facts.num_rows, "mentions": len(mentions)})


def spelling(name: str) -> str:
    """A name as written, without possessive and with single spaces."""
    spaced = " ".join(name.split())
    return _POSSESSIVE.sub("", spaced) or spaced


def normalise(name: str) -> str:
    """The form by which names are equal.

    >>> normalise("Ann  Lee's")
    'ann lee'
    """
    return spelling(name).casefold()


def _collect(
    rows: list[int], column: dict[str, list[Any]], spoken: list[int], said: dict[str, list[Any]]
) -> dict[str, _Entity]:
    speakers: dict[str, list[tuple[str, int]]] = {}
    for row in spoken:
        # A speaker may be white space, which names nobody.
        if speaker := spelling(said["speaker"][row]):
            speakers.setdefault(speaker.casefold(), []).append((speaker, said["timestamp"][row]))
    surfaces = {row: _surfaces(column, row) for row in rows}
    names = {spelling(name) for found in surfaces.values() for name in found} - {""}
    whole = _whole_names(names, speakers.keys())
    out: dict[str, _Entity] = {}
    for row, found in surfaces.items():
        for surface in found:
            normal = normalise(surface)
            if normal:
                entity = out.setdefault(whole.get(normal, normal), _Entity())
                entity.spellings[spelling(surface)] += 1
                entity.mentions.setdefault(row, surface)
    for normal, spoke in speakers.items():
        entity = out.setdefault(whole.get(normal, normal), _Entity())
        for written, time in spoke:
            entity.spellings[written] += 0  # an alias, even where no fact writes it
            entity.spoke.append(time)
    return out


def _surfaces(column: dict[str, list[Any]], row: int) -> list[str]:
    """Names in one fact as written, and its speaker where the text has the name."""
    found: list[str] = list(column["entities"][row])
    speaker, text = column["speaker"][row], column["text"][row]
    if normalise(speaker) not in {normalise(name) for name in found}:
        match = re.search(rf"(?<!\w){re.escape(speaker)}(?!\w)", text, re.IGNORECASE)
        if match:
            found.append(match[0])
    return found


def _whole_names(names: set[str], speakers: Set[str]) -> dict[str, str]:
    """The one full name, normalised, that a first name stands for."""
    normal = {name.casefold() for name in names} | speakers
    full: dict[str, set[str]] = {}
    for name in names | speakers:
        words = name.casefold().split()
        if name.casefold() in speakers or _looks_full(name):
            full.setdefault(words[0], set()).add(" ".join(words))
    out: dict[str, str] = {}
    for first, found in full.items():
        longer = found - {first}
        if first in normal and len(longer) == 1:
            (one,) = longer
            # A speaker is known by the speaker's name, unless the full name speaks too.
            if first not in speakers or one in speakers:
                out[first] = one
    return out


def _looks_full(name: str) -> bool:
    words = name.split()
    return len(words) == 2 and words[0] != words[1] and all(word[0].isupper() for word in words)


def _entity_row(
    scope: tuple[Any, ...], entity_id: str, entity: _Entity, column: dict[str, list[Any]]
) -> dict[str, Any]:
    times = [column["event_time"][row] for row in entity.mentions] or entity.spoke
    name = min(entity.spellings, key=lambda written: (-entity.spellings[written], written))
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "entity_id": entity_id,
        "name": name,
        "kind": "person" if entity.spoke else "name",
        "aliases": sorted(entity.spellings),
        "first_seen": min(times),
        "last_seen": max(times),
        "mention_count": len(entity.mentions),
        "session_count": len({column["session_id"][row] for row in entity.mentions}),
    }


def _mention_rows(
    scope: tuple[Any, ...], entity_id: str, entity: _Entity, column: dict[str, list[Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "tenant": scope[0],
            "conversation_id": scope[1],
            "entity_id": entity_id,
            "fact_id": column["fact_id"][row],
            "message_id": column["message_id"][row],
            "surface": surface,
            "event_time": column["event_time"][row],
        }
        for row, surface in entity.mentions.items()
    ]
