"""A line plot as an SVG file."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

mpl.rcParams["svg.hashsalt"] = "memoryflow"


def line_plot(
    path: Path, points: Sequence[tuple[float, float]], title: str, x_label: str, y_label: str
) -> None:
    """Write the points, joined, with axes from zero."""
    figure, axes = plt.subplots(figsize=(8, 4))
    axes.plot([x for x, _ in points], [y for _, y in points], linewidth=1.5)
    axes.set(title=title, xlabel=x_label, ylabel=y_label, xlim=0, ylim=0)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
