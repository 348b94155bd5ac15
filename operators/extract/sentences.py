"""From the text of a message to units: sentences, list items, headings, code, table rows.

Sentences come from nupunkt (a pure Python Punkt with legal and everyday abbreviations,
https://github.com/alea-institute/nupunkt; measured at 13-18 us a sentence). Markdown is
read line by line first, because a sentence splitter glues list items together.
Every character that is not white space, a fence or a table rule belongs to one unit.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nupunkt import sent_spans

MAX_UNIT_CHARS = 600

PROSE, ITEM, HEADING, CODE, ROW = "prose", "item", "heading", "code", "row"


class Unit(NamedTuple):
    """A piece of a message: what it is, and where it lies in the text."""

    kind: str
    start: int
    end: int


_MARKDOWN = re.compile(r"\n|^ {0,3}(?:[-*•+#|]|\d{1,3}[.)]\s|```)")
_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r"\s{0,8}(?:```|~~~)")
_HEADING = re.compile(r"\s{0,3}(?:#{1,6}\s+\S|\*\*[^*\n]{1,80}\*\*:?\s*$|__[^_\n]{1,80}__:?\s*$)")
_ITEM = re.compile(r"\s*(?:[-*•+‣–]|\d{1,3}[.)]|[a-z][.)])\s+\S")
_TABLE = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"[\s|:+*_=-]*$")
# nupunkt does not part "great!You": chat does without the space.
_GLUED = re.compile(r"(?<=[a-z][!?])(?=[A-Z][a-z])")
_BRACKET = re.compile(r"\[(?:image|photo|video|audio|file|attachment|link)\b[^\]\n]{0,500}\]")


def split_units(text: str) -> list[Unit]:
    """Units of `text` in order, trimmed; none but code is longer than MAX_UNIT_CHARS."""
    if _MARKDOWN.search(text) is None:
        return list(_prose(text, 0, len(text)))
    units: list[Unit] = []
    for kind, start, end in _blocks(text):
        if kind == PROSE or (kind == ITEM and end - start > MAX_UNIT_CHARS // 2):
            units.extend(_prose(text, start, end))
        else:
            units.extend(_pieces(text, kind, start, end))
    return units


def _blocks(text: str) -> Iterator[tuple[str, int, int]]:
    """Markdown blocks; a paragraph or item goes on until a blank line or another block."""
    kind, start, end, fenced = "", 0, 0, False
    for match in _LINE.finditer(text):
        line = match.group()
        if fenced:
            end = match.end()
            if _FENCE.match(line):
                fenced = False
                yield CODE, start, end
                kind = ""
            continue
        found = _line_kind(line, kind)
        if found == "continue":
            end = match.end()
            continue
        if kind:
            yield kind, start, end
        kind, start, end = found, match.start(), match.end()
        fenced = found == CODE
        if found in {HEADING, ROW}:
            yield kind, start, end
            kind = ""
    if kind:
        yield kind, start, end


def _line_kind(line: str, current: str) -> str:
    """Kind of block that `line` opens; "continue" inside one; "" for a blank line or a rule."""
    if _FENCE.match(line):
        return CODE
    if _RULE.match(line):
        return ""
    if _HEADING.match(line):
        return HEADING
    if _ITEM.match(line):
        return ITEM
    if _TABLE.match(line):
        return ROW
    # Answers put unindented prose right under a list: it is no part of the last item.
    goes_on = current == PROSE or (current == ITEM and line[0].isspace())
    return "continue" if goes_on else PROSE


def _prose(text: str, start: int, end: int) -> Iterator[Unit]:
    """Sentences of text[start:end]."""
    chunk = text[start:end]
    if len(chunk) < 20 and not _INNER_STOP.search(chunk):
        yield from _pieces(text, PROSE, start, end)
        return
    cuts = {start + e for _, e in sent_spans(chunk)}
    if "!" in chunk or "?" in chunk:
        cuts.update(start + m.start() for m in _GLUED.finditer(chunk))
    if "[" in chunk:
        for found in _BRACKET.finditer(chunk):
            lo, hi = start + found.start(), start + found.end()
            cuts.difference_update(range(lo + 1, hi))
            cuts.update((lo, hi))
    cuts.add(end)
    previous = start
    for cut in sorted(cuts):
        yield from _pieces(text, PROSE, previous, cut)
        previous = cut


_INNER_STOP = re.compile(r"[.!?]\s|\[")


def _pieces(text: str, kind: str, start: int, end: int) -> Iterator[Unit]:
    """text[start:end] trimmed; over-long units cut at the last pause that fits."""
    chunk = text[start:end]
    stripped = chunk.strip()
    if not stripped:
        return
    start += chunk.find(stripped[0]) if not chunk[0].isspace() else len(chunk) - len(chunk.lstrip())
    end = start + len(stripped)
    while kind != CODE and end - start > MAX_UNIT_CHARS:
        cut = _pause(text, start + MAX_UNIT_CHARS // 2, start + MAX_UNIT_CHARS)
        if text[start:cut].strip():
            yield Unit(kind, start, start + len(text[start:cut].rstrip()))
        start = cut + len(text[cut:end]) - len(text[cut:end].lstrip())
    if start < end:
        yield Unit(kind, start, end)


def _pause(text: str, low: int, high: int) -> int:
    """Best place to cut in text[low:high]: a line end, a clause, a word; else `high`."""
    for mark in ("\n", "; ", ": ", ", ", " "):
        at = text.rfind(mark, low, high)
        if at >= 0:
            return at + len(mark)
    return high
