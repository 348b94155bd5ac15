"""Memory of a stream over a log ten times as long, as a plot.

    python -m benchmarks.streaming.memory [--set locomo_dev] [--times 10] [--plot memory.svg]

PSS of the stream and all its Ray processes, sampled each second, over messages committed.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.process_memory import MEBIBYTE, tree_pss
from benchmarks.streaming.live_log import live_order, read_lines, repeated_log, write_lines
from benchmarks.streaming.plot import line_plot
from benchmarks.streaming.process import streaming


def main() -> None:
    """Print the memory per tenth of the log, and plot it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="locomo_dev")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--plot", type=Path, default=None)
    arguments = parser.parse_args()
    lines = read_lines(arguments.data / arguments.set / "messages.jsonl.gz")
    log = live_order(repeated_log(lines, arguments.times))
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        samples, seconds = measure(log, Path(scratch))
    print(f"{len(log):,} messages in {seconds:.0f} s, {len(log) / seconds:,.0f} a second")
    total = samples[-1][0]
    for part in range(10):
        inside = [m for count, m in samples if part <= 10 * count / (total + 1) < part + 1]
        if inside:
            print(
                f"{part * 10:3d}-{part * 10 + 10}% of {len(log):,} messages: {max(inside):.0f} MiB"
            )
    if arguments.plot is not None:
        title = f"memoryflow stream over {arguments.times} x {arguments.set}"
        line_plot(arguments.plot, samples, title, "messages committed", "PSS of all processes, MiB")


def measure(log: list[bytes], folder: Path) -> tuple[list[tuple[float, float]], float]:
    """(messages committed, MiB), once a second, and the seconds from start-up to the end."""
    source = write_lines(folder / "log.jsonl", log)
    samples: list[tuple[float, float]] = []
    with streaming(source, folder / "w", "--until-idle", "1") as stream:
        stream.wait_for("engine ready")
        while stream.process.poll() is None:
            pulse = folder / "w" / "stream.json"
            said = json.loads(pulse.read_bytes()) if pulse.exists() else {}
            done = said.get("messages", 0) - said.get("in_flight_messages", 0)
            memory = tree_pss(stream.process.pid) / MEBIBYTE
            if memory:
                samples.append((float(done), memory))
            time.sleep(1.0)
        seconds = stream.finish()
    return samples[:-1], seconds


if __name__ == "__main__":
    main()
