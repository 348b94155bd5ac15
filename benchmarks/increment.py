"""What one more session costs in a built warehouse: time, and what was computed.

    python -m benchmarks.increment WAREHOUSE

Appends an invented session to one conversation of a copy of the warehouse.
"""

import json
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from benchmarks.build import run
from transforms.warehouse.connection import open_warehouse

_LINES = (
    "I moved the greenhouse to the other side of the yard yesterday.",
    "Good, it will get the morning sun there.",
    "And I started at the seed library on Monday, three days a week.",
)


def main() -> None:
    """Append, measure and print."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.increment WAREHOUSE")
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        warehouse = Path(scratch) / "warehouse"
        shutil.copytree(sys.argv[1], warehouse)
        session = Path(scratch) / "session.jsonl"
        session.write_text(_session(warehouse), "utf-8")
        done = run(str(session), warehouse)
    counters = done.report["counters"]
    print(f"one more session: {done.wall:.1f} s, {done.build:.1f} s after start-up")
    for step, counts in counters.items():
        if "computed" in counts:
            print(f"  {step}: {counts['computed']} computed, {counts['kept']} kept")
    print(
        f"  texts embedded: {counters['embed']['embedded']}, reused: {counters['embed']['reused']}"
    )


def _session(warehouse: Path) -> str:
    with open_warehouse(warehouse, read_only=True) as opened:
        conversation, last, speakers = opened.rows(
            "SELECT conversation_id, max(timestamp), list(DISTINCT speaker ORDER BY speaker) "
            "FROM messages GROUP BY conversation_id ORDER BY conversation_id LIMIT 1"
        )[0]
    lines = [
        {
            "conversation_id": conversation,
            "message_id": f"{conversation}/added-{index}",
            "speaker": speakers[-1 - index % 2],
            "timestamp": (last + timedelta(days=2, minutes=index)).isoformat(),
            "text": text,
        }
        for index, text in enumerate(_LINES)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
