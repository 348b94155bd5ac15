"""What a model reads about a node: numbered, dated lines within a limit."""

from collections.abc import Iterator, Sequence
from itertools import chain

from operators.frames import day
from operators.memtree.node_text import Sentence
from operators.memtree.summary import ExtractiveSummarizer, shortened

MIN_LINE_CHARS = 40
"""What an extract must have room for."""


def question_text(
    statements: Sequence[Sentence],
    children: Sequence[Sequence[Sentence]],
    max_chars: int,
    line_chars: int,
) -> str:
    """Lines such as `[1] 2024-03-01 Ann bought a bicycle.`; a day stands where it begins.

    Args:
        statements: of facts, in time order; all of them are read, long ones are cut.
        children: or else sentences about each child, in time order; the best of each child
            are read, and all children have an equal share.
        max_chars: longest text, without numbers and days.
        line_chars: longest line, likewise.
    """
    lines = list(dict.fromkeys(statements or _best(children, max_chars)))
    limit = min(line_chars, _widest([len(line.text) for line in lines], max_chars))
    return "\n".join(_numbered(lines, limit))


def _best(children: Sequence[Sequence[Sentence]], max_chars: int) -> tuple[Sentence, ...]:
    share = ExtractiveSummarizer(max_chars=max_chars // len(children))
    return tuple(chain.from_iterable(share.pick(child).sentences for child in children))


def _widest(lengths: Sequence[int], room: int) -> int:
    """The length to cut lines at so that all have room together: short ones stay whole."""
    longest = max(lengths)
    for place, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - place)
        if length > share:
            return share
        room -= length
    return longest


def _numbered(lines: Sequence[Sentence], limit: int) -> Iterator[str]:
    last = None
    for number, line in enumerate(lines, 1):
        today = None if line.time is None else day(line.time)
        date = f"{today} " if today not in (None, last) else ""
        last = today
        yield f"[{number}] {date}{shortened(line.text, limit)}"
