"""What a window claims: its triple, and its parts where it claims several things.

A fact carries one triple. "I live in Rome and I work at Acme" would lose its second half, so
a window that states more than one attribute is parted into windows that state one each.
"""

import re
from collections.abc import Iterator
from datetime import date

from operators.extract.attributes import LEAST_TELLING, Triple, find_triple, may_claim_several
from operators.extract.sentences import PROSE, Unit
from operators.extract.windows import Window

# Where a further statement begins; the joint itself belongs to neither part.
_JOINT = re.compile(r",?\s+and\s+(?=(?:I|[Mm]y|[Ww]e)\b)|,\s+(?=(?:I|[Mm]y|[Ww]e)\b)")
_ACROSS = re.compile(r"\b(?:launch|release|deadline)\b", re.IGNORECASE)


def window_triple(source: str, window: Window, speaker: str, base: date) -> Triple | None:
    """The most telling attribute of the window's sentences."""
    weak: Triple | None = None
    for unit in window.units:
        triple = find_triple(source[unit.start : unit.end], speaker, base)
        if triple and triple.attribute not in LEAST_TELLING:
            return triple
        weak = weak or triple
    if weak is None and len(window.units) > 1:
        text = source[window.start : window.end]
        if _ACROSS.search(text):  # "We agreed on a launch date. Monday 14 April."
            return find_triple(text, speaker, base)
    return weak


def part_window(source: str, window: Window, speaker: str, base: date) -> Iterator[Window]:
    """The window, or several where its clauses state different attributes."""
    text = source[window.start : window.end]
    if window.is_code or not may_claim_several(text):
        yield window
        return
    part = Window(context=window.context)
    stated: str | None = None
    for unit in window.units:
        for number, clause in enumerate(_clauses(source, unit, speaker, base)):
            attribute = _telling(source[clause.start : clause.end], speaker, base)
            if number or (stated and attribute and attribute != stated):
                yield part
                part = Window(context=window.context)
                stated = None
            stated = attribute or stated
            part.units.append(clause)
    yield part


def _telling(clause: str, speaker: str, base: date) -> str | None:
    """The attribute stated, unless it is a mere liking: those need no statement of their own."""
    triple = find_triple(clause, speaker, base)
    return triple.attribute if triple and triple.attribute not in LEAST_TELLING else None


def _clauses(source: str, unit: Unit, speaker: str, base: date) -> list[Unit]:
    """The unit, cut before each clause that states another attribute than the one before."""
    if unit.kind != PROSE:
        return [unit]
    clauses: list[Unit] = []
    start, stated = unit.start, None
    joints = [*_JOINT.finditer(source, unit.start, unit.end)]
    edges = [(j.start(), j.end()) for j in joints] + [(unit.end, unit.end)]
    begin, cut = unit.start, unit.start
    for end, after in edges:
        attribute = _telling(source[begin:end], speaker, base) if joints else None
        if stated and attribute and attribute != stated:
            clauses.append(Unit(unit.kind, start, cut))
            start = begin
        stated = attribute or stated
        begin, cut = after, end
    clauses.append(Unit(unit.kind, start, unit.end))
    return clauses
