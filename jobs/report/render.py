"""From the collected values to the page: jinja2 escapes everything that it is given."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from jobs.report.letters import short

TEMPLATE = "page.html.jinja"


def render(content: Mapping[str, Any]) -> str:
    """The page, with its styles and drawings in it."""
    environment = Environment(
        loader=PackageLoader("jobs.report", "template"),
        # For every template, whatever its name: text of messages is on the page.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        **{"n": _number, "size": _size, "span": _span, "usd": _usd, "percent": _percent},
        **{"moment": _moment, "day": _day, "short": short},
    }
    environment.filters.update(filters)
    return environment.get_template(TEMPLATE).render(content)


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _size(value: float | None) -> str:
    if value is None:
        return "–"
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GiB"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:,.0f} ms"
    if seconds < 120:
        return f"{seconds:,.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:,.1f} min"
    return f"{seconds / 3600:,.1f} h"


def _moment(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _day(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d}"


def _usd(value: float | None) -> str:
    return "–" if value is None else f"${value:,.4f}"


def _percent(value: float, whole: float) -> str:
    return "–" if not whole else f"{value / whole:.1%}"
