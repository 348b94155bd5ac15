"""Where things lie in the small drawings of a report; the template draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 1000.0
"""Units of every drawing; the page scales them."""


@dataclass(frozen=True)
class Box:
    """A rectangle with what it says.

    Attributes:
        shade: 0..1, how strongly it is coloured.
        label: written in it, '' where it does not fit.
        title: shown when pointed at.
    """

    x: float
    y: float
    width: float
    height: float
    shade: float = 1.0
    label: str = ""
    title: str = ""


def columns(values: Sequence[float], titles: Sequence[str], height: float) -> list[Box]:
    """A column for each value, side by side over the whole width."""
    top = max(values, default=0.0) or 1.0
    step = WIDTH / max(1, len(values))
    return [
        Box(
            round(place * step, 2),
            round(height * (1 - value / top), 2),
            round(max(step - min(2.0, step * 0.2), 0.5), 2),
            round(height * value / top, 2),
            title=title,
        )
        for place, (value, title) in enumerate(zip(values, titles, strict=True))
        if value > 0
    ]


def line_points(points: Sequence[tuple[float, float]], height: float = 120.0) -> str:
    """Points of an SVG polyline through (x, y), y from 0; '' for fewer than two."""
    if len(points) < 2:
        return ""
    first, last = points[0][0], points[-1][0]
    top = max(y for _, y in points) or 1.0
    return " ".join(
        f"{WIDTH * (x - first) / (last - first):.1f},{height * (1 - y / top):.1f}"
        for x, y in points
    )


def shade(value: float, largest: float) -> float:
    """How strongly to colour a count among others, 0.15..1: small ones must be seen, too."""
    if value <= 0 or largest <= 0:
        return 0.0
    return round(0.15 + 0.85 * math.sqrt(value / largest), 3)


_CHARACTER = 6.2


def fitting(text: str, width: float) -> str:
    """`text` as far as it fits into `width`; '' where hardly anything does."""
    room = int(width / _CHARACTER) - 1
    if room < 4:
        return ""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def first_fitting(texts: Sequence[str], width: float) -> str:
    """The first of `texts` that fits as a whole; '' where none does."""
    room = int(width / _CHARACTER) - 1
    return next((text for text in texts if len(text) <= room), "")
