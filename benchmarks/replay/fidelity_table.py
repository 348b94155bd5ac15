"""Measurements of methods as Markdown and as JSON rows."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from benchmarks.replay.straying import Straying
from benchmarks.replay.variants import Variant

Measured = list[tuple[Variant, Straying]]

_COLUMNS = (
    ("kl_answers", "KL of answers, nats", ".3f"),
    ("kl_following", "KL of what follows, nats", ".3f"),
    ("agrees", "same token, %", ".0f"),
    ("picked", "needles picked, %", ".0f"),
    ("exact", "needles exact, %", ".0f"),
    ("log_probability", "log p of needles", ".2f"),
)


def summary(found: Straying) -> dict[str, float]:
    """Means; shares in percent. `seconds`, `kept` and `bytes` are sums over histories."""
    return {
        "kl_answers": fmean(found.divergence["answer"]),
        "kl_following": fmean(found.divergence["following"]),
        "kl_needles": fmean(found.divergence["needle"]),
        "agrees": 100 * fmean(found.agrees),
        "picked": 100 * fmean(found.picked),
        "exact": 100 * fmean(found.exact),
        "log_probability": fmean(found.log_probability),
        "seconds": found.seconds,
        "kept": found.kept,
        "bytes": float(found.bytes),
    }


def markdown(measured: Measured) -> str:
    """A row per method; where it was measured at several ratios, a cell holds one value each."""
    last = measured[-1][0].title
    ratios = [variant.spec.ratio for variant, _ in measured if variant.title == last]
    at = f" at {' / '.join(f'{ratio:g}x' for ratio in ratios)}" if len(ratios) > 1 else ""
    lines = [
        "| method" + at + " | " + " | ".join(title for _, title, _ in _COLUMNS) + " |",
        "| --- |" + " ---: |" * len(_COLUMNS),
    ]
    for title in dict.fromkeys(variant.title for variant, _ in measured):
        means = [summary(found) for variant, found in measured if variant.title == title]
        cells = [
            " / ".join(f"{mean[column]:{form}}" for mean in means) for column, _, form in _COLUMNS
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def best_scorer(measured: Measured) -> str:
    """Picks most needles over all ratios; of equals, the lowest KL of answers."""
    by_scorer: dict[str, list[dict[str, float]]] = {}
    for variant, found in measured:
        by_scorer.setdefault(variant.spec.scorer, []).append(summary(found))

    def worth(scorer: str) -> tuple[float, float]:
        means = by_scorer[scorer]
        return fmean(m["picked"] for m in means), -fmean(m["kl_answers"] for m in means)

    return max(by_scorer, key=worth)


def json_rows(measured: Measured) -> Sequence[dict[str, Any]]:
    """A row per method and ratio."""
    return [
        {
            "title": variant.title,
            **variant.spec.compression,
            "rerotate": variant.rerotate,
            **{name: round(value, 5) for name, value in summary(found).items()},
        }
        for variant, found in measured
    ]
