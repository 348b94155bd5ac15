"""First-token measurements as Markdown tables and as lines of a plot."""

from collections.abc import Sequence
from typing import Any

from benchmarks.replay.timed import Timed

_MEGABYTE = 1e6


def bytes_table(made: Sequence[dict[str, Any]]) -> str:
    """What the caches are: a row per size."""
    lines = [
        "| tokens | kept | full KV, MB | compressed, MB | share | file, MB | int8 file, MB | "
        "most held while made, MB | made in, s |",
        "| ---: |" + " ---: |" * 8,
    ]
    for row in made:
        sizes = [
            row[name] / _MEGABYTE
            for name in ("full_bytes", "bytes", "file_bytes", "int8_file_bytes", "peak_bytes")
        ]
        full, kept, file, int8, peak = (f"{size:.1f}" for size in sizes)
        share = row["bytes"] / row["full_bytes"]
        lines.append(
            f"| {row['tokens']:,} | {row['kept']:,} | {full} | {kept} | {share:.0%} | {file} | "
            f"{int8} | {peak} | {row['seconds']:.1f} |"
        )
    return "\n".join(lines)


def times_table(rows: Sequence[Timed]) -> str:
    """What first tokens take: a row per engine and size."""
    lines = [
        "| engine | tokens | full prefill, s | compressed cache, s | times as fast | "
        "next question, s |",
        "| --- |" + " ---: |" * 5,
    ]
    lines += [
        f"| {row.engine} | {row.tokens:,} | {row.full / 1000:.2f} | {row.injected / 1000:.2f} | "
        f"{row.full / row.injected:.1f} | {row.next_question / 1000:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def lines_of(rows: Sequence[Timed]) -> dict[str, list[tuple[float, float]]]:
    """Seconds over tokens, a line per engine and way."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for way, value in (("full prefill", row.full), ("compressed cache", row.injected)):
            point = (float(row.tokens), value / 1000)
            lines.setdefault(f"{row.engine}, {way}", []).append(point)
    return lines
