"""Dead letters by reason, with samples of what was refused."""

from typing import Any

from transforms.warehouse.connection import Warehouse

_REASONS = 12
_SAMPLES = 2
_SHOWN_BYTES = 400
_SHOWN_CHARS = 240


def dead_letters(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The most frequent reasons: step, reason, count, share of the largest, samples."""
    rows = warehouse.query(
        "SELECT step, reason, count(*) AS count FROM dead_letters GROUP BY ALL "
        f"ORDER BY count DESC, step, reason LIMIT {_REASONS}"
    ).to_pylist()
    largest = max((row["count"] for row in rows), default=1)
    for row in rows:
        row["share"] = 100 * row["count"] / largest
        row["samples"] = _samples(warehouse, row["step"], row["reason"])
    return rows


def _samples(warehouse: Warehouse, step: str, reason: str) -> list[dict[str, Any]]:
    found = warehouse.rows(
        f'SELECT detail, raw[1:{_SHOWN_BYTES}], octet_length(raw), source, "offset" '
        "FROM dead_letters WHERE step = ? AND reason = ? "
        f"ORDER BY dead_letter_id LIMIT {_SAMPLES}",
        [step, reason],
    )
    return [
        {
            "detail": short(detail, _SHOWN_CHARS),
            "raw": short(bytes(raw).decode("utf-8", "replace"), _SHOWN_CHARS),
            "bytes": size,
            "source": source,
            "line": offset,
        }
        for detail, raw, size, source, offset in found
    ]


def short(text: str, most: int = 80) -> str:
    """The beginning of a name that somebody else gave: on one line, nothing that is not shown."""
    return shortened(printable(text), most)


def printable(text: str) -> str:
    """Without control characters, which a page must not hold."""
    return "".join(c if c.isprintable() or c.isspace() else "�" for c in text)


def shortened(text: str, most: int) -> str:
    """On one line, the beginning of it."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
