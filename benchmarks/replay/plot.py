"""Plots of the replay benchmarks, as SVG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.replay.fidelity_table import Measured, summary

mpl.rcParams["svg.hashsalt"] = "memoryflow"

Line = list[tuple[float, float]]

_PANELS = (
    ("kl_answers", "KL(full || compressed), answers, nats", "log"),
    ("kl_following", "KL(full || compressed), what follows, nats", "log"),
    ("picked", "needles picked, %", "linear"),
)


def fidelity_plot(path: Path, measured: Measured) -> None:
    """Divergence and retrieval over the ratio, a line per method.

    What was measured at ratio 1, the full cache, is a dashed line in the panels it fits in.
    """
    figure, panels = plt.subplots(1, len(_PANELS), figsize=(13, 4))
    compressed = [(variant, found) for variant, found in measured if variant.spec.ratio > 1]
    whole = [found for variant, found in measured if variant.spec.ratio == 1]
    ratios = sorted({variant.spec.ratio for variant, _ in compressed})
    for axes, (column, label, scale) in zip(panels, _PANELS, strict=True):
        lines: dict[str, Line] = {}
        for variant, found in compressed:
            point = (variant.spec.ratio, summary(found)[column])
            lines.setdefault(variant.title, []).append(point)
        _draw(axes, lines)
        for found in whole if scale == "linear" else ():
            axes.axhline(summary(found)[column], color="black", linestyle="--", label="full cache")
            axes.legend(fontsize=8)
        axes.set(xlabel="tokens per kept token", ylabel=label, xscale="log", yscale=scale)
        axes.set_xticks(ratios, [f"{ratio:g}x" for ratio in ratios])
        axes.minorticks_off()
    panels[-1].set_ylim(0, 100)
    panels[0].legend(fontsize=8)
    _save(figure, path)


def first_token_plot(path: Path, lines: Mapping[str, Line]) -> None:
    """Seconds to the first token over the tokens of the history, both logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 4.5))
    _draw(axes, lines)
    sizes = sorted({x for line in lines.values() for x, _ in line})
    axes.set(
        title="Time to the first token",
        xlabel="tokens of the history",
        ylabel="seconds",
        xscale="log",
        yscale="log",
    )
    axes.set_xticks(sizes, [f"{size / 1024:g}k" for size in sizes])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    _save(figure, path)


def _draw(axes: Axes, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    for title, points in lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=title)
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
