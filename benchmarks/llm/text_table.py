"""Tables of measurements: as text, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

Row = dict[str, object]


@dataclass(frozen=True)
class TextTable:
    """Rows of one measurement.

    Attributes:
        rows: by column; all that a column may hold is in the first row.
        notes: what has to be known to read them.
    """

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Title, aligned columns, notes."""
        names = list(self.rows[0]) if self.rows else []
        cells = [names, *([_shown(row.get(name)) for name in names] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(_padded, line, widths)).rstrip() for line in cells]
        return "\n".join([self.title, "=" * len(self.title), *lines, *self.notes, ""])


def _padded(cell: str, width: int) -> str:
    """Numbers to the right."""
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "NO", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
