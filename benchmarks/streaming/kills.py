"""A stream that is killed again and again against one batch run: digests and double work.

    python -m benchmarks.streaming.kills [--set locomo_dev] [--kills 20]

The log comes in live order (2% late, 1% twice). Kills fall on commit boundaries and at
random between them.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.streaming.live_log import live_order, read_lines, write_lines
from benchmarks.streaming.process import batch, digest, streaming
from operators.embedding.journal import VectorJournal
from operators.embedding.model_id import DIMENSION, MODEL_ID
from transforms.warehouse.connection import JOURNAL_DIR

_PIPELINE = Path("pipelines/conversation_memory.yaml")


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="locomo_dev")
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    lines = live_order(read_lines(arguments.data / arguments.set / "messages.jsonl.gz"))
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        print(measure(lines, arguments.kills, Path(scratch)))


def measure(lines: list[bytes], kills: int, folder: Path) -> str:
    """Kill, and compare."""
    log = write_lines(folder / "log.jsonl", lines)
    batch(log, folder / "batch")
    pipeline = small_commits(folder / "pipeline.yaml")
    chance = random.Random(kills)
    done = 0
    for _ in range(kills):
        with streaming(log, folder / "w", "--until-idle", "1", pipeline=pipeline) as stream:
            stream.wait_for("engine ready")
            moment = chance.choice(["writing", "snapshot"])
            stream.wait_for(f"^commit {chance.randint(1, 3)}: {moment}|ended:")
            time.sleep(chance.choice([0.0, 0.0, chance.random()]))
            done += stream.process.poll() is None
    answers = journal(folder / "w")
    with streaming(log, folder / "w", "--until-idle", "1", pipeline=pipeline) as stream:
        stream.finish()
    same = digest(folder / "batch") == digest(folder / "w")
    twice = sum(count - 1 for count in answers.values())
    return (
        f"{len(lines):,} lines, {done} kills: digest {'equal' if same else 'DIFFERENT'}; "
        f"{len(answers):,} texts embedded before the last start, {twice} of them twice"
    )


def small_commits(path: Path) -> Path:
    """The shipped pipeline with little in flight, so that every life of the stream commits."""
    text = _PIPELINE.read_text()
    for old, new in (
        ("max_in_flight_mib: 32 ", "max_in_flight_mib: 0.05 "),
        ("housekeeping_interval: 1m ", "housekeeping_interval: 1d "),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def journal(warehouse: Path) -> Counter[str]:
    """How often each text was answered in all lives of the stream."""
    records = VectorJournal(warehouse / JOURNAL_DIR / MODEL_ID, "reader", DIMENSION).load()
    return Counter(text_hash for text_hash, _ in records)


if __name__ == "__main__":
    main()
