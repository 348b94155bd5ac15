"""Windows: neighbouring units of one message merged into statements of a useful length.

After the two-sentence windows of SuperLocalMemory, widened: one window holds as many units
as fit, so that nothing is embedded twice. Headings and the lead-in of a list are repeated,
shortened, before windows that would lose them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from operators.extract.sentences import CODE, HEADING, PROSE, Unit

_CONTEXT_CHARS = 80
_MARKS = re.compile(r"^[\s#*_>|-]+|[\s*_:|]+$")


@dataclass
class Window:
    """Units of one statement, and the heading they stand under where it is not among them."""

    units: list[Unit] = field(default_factory=list[Unit])
    context: str = ""

    @property
    def start(self) -> int:
        """Offset of the first unit."""
        return self.units[0].start

    @property
    def end(self) -> int:
        """Offset behind the last unit."""
        return self.units[-1].end

    @property
    def is_code(self) -> bool:
        """Whether it is a code block."""
        return self.units[0].kind == CODE


def merge_units(
    text: str, units: Iterable[Unit], limit: int, drop: Callable[[str], bool]
) -> tuple[list[Window], int]:
    """Windows of at most `limit` characters, and how many units were dropped.

    One longer unit stays whole. `drop` tells filler; only prose is asked about.
    """
    windows: list[Window] = []
    current = Window()
    size = dropped = 0
    heading = lead = ""
    for unit in units:
        piece = text[unit.start : unit.end]
        if unit.kind == PROSE and drop(piece):
            dropped += 1
            continue
        if current.units and _closes(current.units[-1].kind, unit, size, limit):
            windows.append(current)
            current, size = Window(), 0
        if unit.kind == HEADING:
            heading, lead = _shorten(piece), ""
        elif unit.kind == PROSE:
            lead = ""
        if not current.units and unit.kind != HEADING:
            current.context = lead or heading
        current.units.append(unit)
        size += len(piece) + 1
        if unit.kind == PROSE and piece.endswith(":"):
            lead = _shorten(piece)
    if current.units:
        windows.append(current)
    return windows, dropped


def _closes(last: str, unit: Unit, size: int, limit: int) -> bool:
    """Whether a window of `size` that ends with a unit of kind `last` is closed before `unit`."""
    if CODE in {last, unit.kind}:
        return True
    if last == HEADING:  # leads what comes, unless there is nothing but headings
        return unit.kind == HEADING and size > limit
    return unit.kind == HEADING or size + unit.end - unit.start > limit


def _shorten(piece: str) -> str:
    """A heading or lead-in as a prefix: without marks, cut at a word."""
    plain = _MARKS.sub("", piece).replace("**", "")
    if len(plain) <= _CONTEXT_CHARS:
        return plain
    cut = plain.rfind(" ", 0, _CONTEXT_CHARS)
    return plain[: cut if cut > 0 else _CONTEXT_CHARS] + "..."
