"""Realistic logs of any size, from a seed.

    python -m benchmarks.scale.generate --messages 1000000 --seed 7 --out DIR [--files 16]
    python -m benchmarks.scale.generate --messages 1000000 --seed 7 --append c000123 --out FILE

The first form writes `part-*.jsonl`, to be read by several readers at once, and `log.txt`,
which says what is in them. Conversations are sized by Zipf's law (exponent 0.7, a hundred
messages on average, the largest at most 20,000) and lie in one file each; in a file, sessions
of all its conversations follow in time. 1% of the lines come late, up to 5,000 lines after
their place, 1% come twice, 0.5% are corrected by a later line (`revision`), and 0.05% are no
messages at all. `--messages` counts the good ones, each once.

The second form writes one more session of a conversation, which the log does not hold:
`--session 1` (the default) is the one right after its end.

Deterministic: the same bytes for the same messages, seed and files. A smaller log is no prefix of
a larger one but a log of its own with the same shape, so that warehouses of several sizes
compare like with like. Memory is bounded by the number of conversations (a few KB each).
"""

import argparse
import heapq
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import orjson

from benchmarks.scale.conversations import Conversation, Line, sizes

_MESSAGES_A_FILE = 62_500
_LATE, _TWICE, _CORRECTED, _BAD = 0.01, 0.01, 0.005, 0.0005
_MOST_LATE = 5_000  # lines


@dataclass(frozen=True)
class Log:
    """A log that can be made; cheap until it is.

    Attributes:
        messages: good messages, each counted once.
        seed: another seed gives another log.
    """

    messages: int
    seed: int

    def conversations(self) -> list[Conversation]:
        """All conversations, the largest first."""
        key = f"{self.seed}/{self.messages}"
        return [Conversation(key, n, size) for n, size in enumerate(sizes(self.messages), 1)]

    def conversation(self, conversation_id: str) -> Conversation:
        """One of them; ValueError where there is none."""
        found = self.conversations()
        number = conversation_id.removeprefix("c")
        if not number.isdecimal() or not 1 <= int(number) <= len(found):
            last = found[-1].conversation_id
            raise ValueError(f"no conversation {conversation_id!r}: they are c000001 to {last}")
        return found[int(number) - 1]

    def write(self, folder: Path, files: int | None = None, processes: int | None = None) -> str:
        """Write the log; what it holds, for people."""
        folder.mkdir(parents=True, exist_ok=True)
        count = files or max(1, self.messages // _MESSAGES_A_FILE)
        tasks = [(self, folder / f"part-{n:05d}.jsonl", n, count) for n in range(count)]
        total: Counter[str] = Counter()
        for counts in _each(tasks, min(count, processes or os.cpu_count() or 1)):
            total.update(counts)
        told = "".join(f"{name}: {total[name]:,}\n" for name in sorted(total))
        largest = ", ".join(f"{c.conversation_id} {c.size:,}" for c in self.conversations()[:5])
        told = f"{self}\n{told}largest conversations: {largest}\n"
        (folder / "log.txt").write_text(told, "utf-8")
        return told


def append_session(log: Log, conversation_id: str, session: int, out: Path) -> int:
    """Write the `session`th session after a conversation's end; the messages in it."""
    lines = log.conversation(conversation_id).later(session)
    out.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return len(lines)


_Task = tuple[Log, Path, int, int]


def _each(tasks: Sequence[_Task], processes: int) -> Iterator[Counter[str]]:
    if processes == 1:
        yield from map(_write_file, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(_write_file, tasks)


def _write_file(task: _Task) -> Counter[str]:
    log, path, number, files = task
    mine = log.conversations()[number::files]
    disorder = _Disorder(Random(f"{log.seed}/{log.messages}/{number}/disorder"))
    with path.open("wb", buffering=1 << 20) as out:
        for line in disorder.lines(_in_time(mine)):
            out.write(line)
        disorder.counts["bytes"] = out.tell()
    disorder.counts["conversations"] = len(mine)
    return disorder.counts


def _in_time(conversations: list[Conversation]) -> Iterator[Line]:
    """Messages of all the conversations, session after session as they begin."""
    plans = {c.number: c.sessions() for c in conversations}
    due = [(at, c.number, s, n) for c in conversations for s, at, n in [next(plans[c.number])]]
    heapq.heapify(due)
    by_number = {c.number: c for c in conversations}
    while due:
        at, number, session, count = heapq.heappop(due)
        yield from by_number[number].messages(session, at, count)
        if (following := next(plans[number], None)) is not None:
            session, at, count = following
            heapq.heappush(due, (at, number, session, count))


class _Disorder:
    """What happens to lines between the one who writes and the log."""

    def __init__(self, rng: Random):
        self._draw = rng.random
        self._held: list[tuple[int, int, bytes]] = []
        self._place = 0
        self.counts: Counter[str] = Counter()

    def lines(self, messages: Iterator[Line]) -> Iterator[bytes]:
        """The lines as they arrive."""
        draw, counts = self._draw, self.counts
        for message in messages:
            while self._held and self._held[0][0] <= self._place:
                yield heapq.heappop(self._held)[2]
            self._place += 1
            counts["messages"] += 1
            line = orjson.dumps(message) + b"\n"
            what = draw()
            if what < _LATE:
                self._hold("late", line)
                continue
            yield line
            if what < _LATE + _TWICE:
                self._hold("twice", line)
            elif what < _LATE + _TWICE + _CORRECTED:
                text = f"{message['text']} (I meant to say: {draw():.3f} of it.)"
                self._hold("corrected", orjson.dumps({**message, "text": text, "revision": 1}))
            elif what < _LATE + _TWICE + _CORRECTED + _BAD:
                yield self._bad(message, line)
        while self._held:
            yield heapq.heappop(self._held)[2]

    def _hold(self, kind: str, line: bytes) -> None:
        self.counts[kind] += 1
        due = self._place + 1 + int(_MOST_LATE * self._draw())
        line = line if line.endswith(b"\n") else line + b"\n"
        heapq.heappush(self._held, (due, self._place, line))

    def _bad(self, message: Line, line: bytes) -> bytes:
        """A line that is no message, in one of the ways that logs have."""
        self.counts["bad"] += 1
        kinds: tuple[bytes, ...] = (
            line[: len(line) // 2] + b"\n",
            orjson.dumps({k: v for k, v in message.items() if k != "speaker"}) + b"\n",
            orjson.dumps({**message, "timestamp": "yesterday"}) + b"\n",
            orjson.dumps({**message, "text": None}) + b"\n",
            b"-- log rotated --\n",
        )
        return kinds[int(self._draw() * len(kinds))]


def main() -> None:
    """Write a log, or one more session of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True, help="folder, or file with --append")
    parser.add_argument("--files", type=int, help="files of the log; one per 62,500 messages")
    parser.add_argument("--append", metavar="CONVERSATION", help="one more session of it instead")
    parser.add_argument("--session", type=int, default=1, help="which session after the end")
    arguments = parser.parse_args()
    log = Log(arguments.messages, arguments.seed)
    if arguments.append:
        count = append_session(log, arguments.append, arguments.session, arguments.out)
        print(f"{count} messages of {arguments.append}")
    else:
        print(log.write(arguments.out, arguments.files), end="")


if __name__ == "__main__":
    main()
