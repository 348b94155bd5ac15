"""How long a message takes from the source into what another process finds.

    python -m benchmarks.streaming.freshness [--set locomo_dev] [--rate 100]

A writer appends the log line by line at `--rate` messages a second (give half of what
`throughput` measured). Another process asks the warehouse five times a second which
messages have facts or are there; the difference of the wall clocks is the freshness.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

from benchmarks.streaming.live_log import live_order, read_lines, repeated_log
from benchmarks.streaming.process import streaming
from transforms.warehouse.connection import open_warehouse

_POLL_SECONDS = 0.2


def main() -> None:
    """Print percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="locomo_dev")
    parser.add_argument("--times", type=int, default=5, help="repeat the log so often")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=120.0, help="at most so long")
    arguments = parser.parse_args()
    log = read_lines(arguments.data / arguments.set / "messages.jsonl.gz")
    lines = live_order(repeated_log(log, arguments.times))
    lines = lines[: int(arguments.rate * arguments.seconds)]
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        delays = measure(lines, arguments.rate, Path(scratch))
    delays.sort()
    quantiles = {q: delays[min(len(delays) - 1, int(len(delays) * q))] for q in (0.5, 0.95, 0.99)}
    print(
        f"{arguments.set}: {len(delays):,} messages at {arguments.rate:.0f}/s; searchable after "
        + ", ".join(f"p{q * 100:.0f} {seconds:.2f} s" for q, seconds in quantiles.items())
        + f", at most {delays[-1]:.2f} s"
    )


def measure(lines: list[bytes], rate: float, folder: Path) -> list[float]:
    """Seconds from written to found, of every message."""
    source, warehouse = folder / "logs", folder / "w"
    source.mkdir()
    with streaming(source, warehouse, "--until-idle", "8") as stream:
        stream.wait_for("engine ready")
        context = multiprocessing.get_context("spawn")
        seen = folder / "seen.jsonl"
        reader = context.Process(target=watch, args=(warehouse, seen), daemon=True)
        reader.start()
        written = write_paced(source / "live.jsonl", lines, rate)
        stream.finish()
        time.sleep(2 * _POLL_SECONDS)
        reader.terminate()
    records = map(json.loads, seen.read_text().splitlines())
    found = {(c, m): record["at"] for record in records for c, m in record["messages"]}
    return [found[key] - moment for key, moment in written.items()]


def write_paced(path: Path, lines: list[bytes], rate: float) -> dict[tuple[str, str], float]:
    """Append at an even pace; when each message was first written."""
    written: dict[tuple[str, str], float] = {}
    start = time.time()
    with path.open("ab", buffering=0) as file:
        for number, line in enumerate(lines):
            time.sleep(max(0.0, start + number / rate - time.time()))
            file.write(line + b"\n")
            record = json.loads(line)
            written.setdefault((record["conversation_id"], record["message_id"]), time.time())
    return written


def watch(warehouse: Path, seen_file: Path) -> None:
    """Note messages as they become visible."""
    seen: set[tuple[str, str]] = set()
    looked_at = 1
    while not (warehouse / "memoryflow.json").exists():
        time.sleep(0.05)
    with (
        open_warehouse(warehouse, read_only=True, threads=1) as opened,
        seen_file.open("w", buffering=1) as out,
    ):
        while True:
            started = time.time()
            snapshot = opened.current_snapshot()
            if snapshot > looked_at:  # Only what is new: looking is work, too.
                rows = opened.rows(
                    "SELECT conversation_id, message_id FROM "
                    f"ducklake_table_insertions('lake', 'main', 'messages', {looked_at + 1}, "
                    f"{snapshot})"
                )
                looked_at = snapshot
                new = [key for key in rows if key not in seen]
                seen.update(new)
                out.write(json.dumps({"at": time.time(), "messages": new}) + "\n")
            time.sleep(max(0.0, started + _POLL_SECONDS - time.time()))


if __name__ == "__main__":
    main()
