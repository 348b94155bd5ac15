"""Sustained throughput of a stream against a batch run over the same log, in one run.

    python -m benchmarks.streaming.throughput [--sets locomo_dev beam_dev] [--times 10]

The log is there when the stream starts, in live order (2% late, 1% twice): it reads as fast
as it can. Both are timed from when the engine is up to the last commit, and both digests
are compared.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.streaming.live_log import live_order, read_lines, repeated_log, write_lines
from benchmarks.streaming.process import batch, digest, streaming


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="*", default=["locomo_dev", "beam_dev"])
    parser.add_argument("--times", type=int, default=1, help="repeat the log so often")
    arguments = parser.parse_args()
    print("| input | lines | batch s | stream s | stream / batch throughput | equal digest |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name in arguments.sets:
        with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
            log = read_lines(arguments.data / name / "messages.jsonl.gz")
            lines = live_order(repeated_log(log, arguments.times) if arguments.times > 1 else log)
            title = f"{arguments.times} x {name}" if arguments.times > 1 else name
            print(measure(title, lines, Path(scratch)), flush=True)


def measure(name: str, lines: list[bytes], folder: Path) -> str:
    """A row of the table."""
    log = write_lines(folder / "log.jsonl", lines)
    batch_seconds = batch(log, folder / "batch")
    with streaming(log, folder / "stream", "--until-idle", "1") as stream:
        seconds = stream.finish()
    same = digest(folder / "batch") == digest(folder / "stream")
    ratio = batch_seconds / seconds
    return (
        f"| {name} | {len(lines):,} | {batch_seconds:.1f} | {seconds:.1f} | {ratio:.2f} | "
        f"{'yes' if same else 'NO'} |"
    )


if __name__ == "__main__":
    main()
