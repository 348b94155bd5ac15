"""Questions a second in a batch, and the latency of one warm query inside the process.

python -m benchmarks.search_speed WAREHOUSE:questions.jsonl
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from jobs.search import SearchSession, read_questions

_WARM = 200


def main() -> None:
    """Measure and print."""
    if len(sys.argv) != 2 or ":" not in sys.argv[1]:
        sys.exit("usage: python -m benchmarks.search_speed WAREHOUSE:questions.jsonl")
    warehouse, _, questions = sys.argv[1].rpartition(":")
    command = [sys.executable, "-m", "jobs.cli", "search", "--json", "--warehouse", warehouse]
    command += ["--batch", questions, "-k", "10"]
    start = time.perf_counter()
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.count("\n")
    seconds = time.perf_counter() - start
    print(f"search --batch: {lines} questions in {seconds:.1f} s, {lines / seconds:.0f}/s")
    times = sorted(_warm(Path(warehouse), Path(questions)))
    p95 = times[int(0.95 * len(times))]
    print(f"one warm query: p50 {statistics.median(times):.1f} ms, p95 {p95:.1f} ms")


def _warm(warehouse: Path, questions: Path) -> list[float]:
    """Milliseconds of single queries, once every conversation has been asked."""
    asked = read_questions(questions)[:_WARM]
    out: list[float] = []
    with SearchSession.open(warehouse) as session:
        for question in asked:
            session.search(question.question, conversation=question.conversation_id)
        for question in asked:
            start = time.perf_counter()
            session.search(question.question, conversation=question.conversation_id)
            out.append((time.perf_counter() - start) * 1000)
    return out


if __name__ == "__main__":
    main()
