"""How long a killed stream takes to go on, for a short and a long log.

    python -m benchmarks.streaming.restart [--set locomo_dev] [--times 10]

The stream has read everything and is killed; one new message is appended; it is started
again. Timed from the start of the process until that message is committed.
"""

import argparse
import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.streaming.live_log import live_order, read_lines, repeated_log, write_lines
from benchmarks.streaming.process import streaming


def main() -> None:
    """Print a line per length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="locomo_dev")
    parser.add_argument("--times", type=int, default=10, help="repeat the log so often")
    arguments = parser.parse_args()
    log = read_lines(arguments.data / arguments.set / "messages.jsonl.gz")
    lines = live_order(repeated_log(log, arguments.times))
    for count in (100, len(lines)):
        with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
            ready, resumed = measure(lines[:count], Path(scratch))
        print(
            f"after {count:,} messages: engine ready after {ready:.1f} s, "
            f"the new message committed after {resumed:.1f} s",
            flush=True,
        )


def measure(lines: list[bytes], folder: Path) -> tuple[float, float]:
    """Seconds to the engine, and to the commit of what is new."""
    source = write_lines(folder / "log.jsonl", lines)
    with streaming(source, folder / "w", "--until-idle", "1") as stream:
        stream.finish()
    with streaming(source, folder / "w") as stream:  # And killed while it waits for more.
        stream.wait_for("engine ready")
    with source.open("ab") as file:
        file.write(later_message(lines[-1]) + b"\n")
    with streaming(source, folder / "w", "--until-idle", "5") as stream:
        ready = stream.wait_for("engine ready")
        resumed = stream.wait_for("^commit 1: snapshot")
        stream.finish()
    return ready, resumed


def later_message(line: bytes) -> bytes:
    """Another message of the same conversation, a minute later."""
    record = json.loads(line)
    record["message_id"] += "-new"
    moment = datetime.fromisoformat(record["timestamp"]) + timedelta(minutes=1)
    record["timestamp"] = moment.isoformat()
    return json.dumps(record).encode()


if __name__ == "__main__":
    main()
