"""Scenes that hold several stories: members that nothing ties to the main one."""

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from operators.personas.people import is_human, person_key, person_name

Row = Mapping[str, Any]


class Apart(NamedTuple):
    """A member set apart: the number of its part, and why."""

    part: int
    reason: str


class Clash(NamedTuple):
    """Two people of whom one attribute has different values, with the evidence of each."""

    people: tuple[str, str]
    attribute: str
    values: tuple[str, str]
    evidence: tuple[frozenset[str], frozenset[str]]


def people_of(fact: Row, known: Collection[str]) -> frozenset[str]:
    """People a fact is by or about; `known` are the people of the conversation, normalised."""
    named = (*fact["entities"], fact["subject"] or "")
    found = {key for key in map(person_key, named) if key in known}
    if is_human(fact["speaker"], fact["role"]):
        found.add(person_key(person_name(fact["speaker"])))
    return frozenset(found)


def clashes(personas: Sequence[Row]) -> list[Clash]:
    """Pairs of people who differ in a current attribute that has one value at a time."""
    current: dict[str, dict[str, Row]] = {}
    for row in sorted(personas, key=lambda row: row["persona_id"]):
        if row["kind"] == "attribute" and row["status"] == "current":
            current.setdefault(row["attribute"], {}).setdefault(person_key(row["person"]), row)
    out: list[Clash] = []
    for attribute, by_person in sorted(current.items()):
        names = sorted(by_person)
        for number, one in enumerate(names):
            for other in names[number + 1 :]:
                left, right = by_person[one], by_person[other]
                if left["value"].casefold() != right["value"].casefold():
                    values = (left["value"], right["value"])
                    held = (frozenset(left["evidence"]), frozenset(right["evidence"]))
                    out.append(Clash((one, other), attribute, values, held))
    return out


def parts(
    scene: Row,
    members: Sequence[Row],
    known: Collection[str],
    clashing: Sequence[Clash],
    least: int,
) -> dict[str, Apart]:
    """Members that belong to another story than most of the scene, by fact id.

    Members are of one story if they share a person, a keyword of the scene, or the exchange
    they were said in; between people who clash in this scene a keyword is not enough. Groups
    of fewer than `least` members stay. `members` are facts in event order.
    """
    if len(members) < 2 * least:
        return {}
    ids = {fact["fact_id"] for fact in members}
    here = [c for c in clashing if all(held & ids for held in c.evidence)]
    rivals = {person for clash in here for person in clash.people}
    sizes = sorted(_tie(scene, members, known, rivals), key=lambda rows: (-len(rows), rows[0]))
    out: dict[str, Apart] = {}
    apart = sorted((rows for rows in sizes[1:] if len(rows) >= least), key=lambda rows: rows[0])
    for number, rows in enumerate(apart, start=1):
        theirs = {p for row in rows for p in people_of(members[row], known)}
        reason = _reason(here, theirs)
        for row in rows:
            out[members[row]["fact_id"]] = Apart(number, reason)
    return out


def _tie(
    scene: Row, members: Sequence[Row], known: Collection[str], rivals: Collection[str]
) -> list[list[int]]:
    """Groups of members by what ties them, each in event order."""
    people = [people_of(fact, known) for fact in members]
    ties: list[list[Hashable]] = [
        [("cell", fact["cell_id"]), *(("person", person) for person in sorted(who))]
        for fact, who in zip(members, people, strict=True)
    ]
    found = _groups(ties)
    if len(found) == 1:
        return found
    keywords = sorted({_spaced(w) for w in scene["keywords"] if w.casefold() not in known})
    for fact, who, own in zip(members, people, ties, strict=True):
        low = _spaced(fact["text"])
        # A rival's keyword ties to that rival's own statements only.
        side = "+".join(sorted(who & set(rivals)))
        own += [("word", word, side) for word in keywords if word in low]
    return _groups(ties)


def _spaced(text: str) -> str:
    """The words of a text between single spaces, so that a part of a word is no match."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


_WORD = re.compile(r"\w+")


def _groups(ties: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """Rows that share ties, directly or through others."""
    parent = list(range(len(ties)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    seen: dict[Hashable, int] = {}
    for row, own in enumerate(ties):
        for tie in own:
            one, other = root(seen.setdefault(tie, row)), root(row)
            parent[max(one, other)] = min(one, other)
    out: dict[int, list[int]] = {}
    for row in range(len(ties)):
        out.setdefault(root(row), []).append(row)
    return list(out.values())


def _reason(here: Sequence[Clash], theirs: Collection[str]) -> str:
    for clash in here:
        for person, value, other, others_value in (
            (clash.people[0], clash.values[0], clash.people[1], clash.values[1]),
            (clash.people[1], clash.values[1], clash.people[0], clash.values[0]),
        ):
            if person in theirs and other not in theirs:
                return (
                    f"about {person.title()}, whose {clash.attribute} is {value}; "
                    f"{other.title()}'s is {others_value}"
                )
    return "shares no person and no keyword with the scene's main story"
