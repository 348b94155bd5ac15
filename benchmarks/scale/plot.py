"""Plots of a series of sizes, as one SVG file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

mpl.rcParams["svg.hashsalt"] = "memoryflow"

_PANELS = (
    ("rate", "messages/s after start"),
    ("peak_mib", "peak PSS of all processes, MiB"),
)


def plot_sizes(
    path: Path, grown: Sequence[Mapping[str, float]], appended: Sequence[Mapping[str, float]]
) -> None:
    """Throughput, memory and append cost against the size of the log, which is logarithmic."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    sizes = [row["messages"] for row in grown]
    for axis, (key, label) in zip(axes, _PANELS, strict=False):
        axis.plot(sizes, [row[key] for row in grown], marker="o")
        axis.set_ylabel(label)
    for part in ("cost", "state", "read", "build", "commit"):
        style = {"linewidth": 2.5} if part == "cost" else {"linestyle": "--"}
        values = [row[part] for row in appended]
        axes[2].plot(sizes, values, marker="o", label=part, **style)
    axes[2].set_ylabel("appending one session, s")
    axes[2].legend()
    for axis in axes:
        axis.set(xscale="log", xlabel="messages in the warehouse", ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
