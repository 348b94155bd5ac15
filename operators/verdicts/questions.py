"""How pairs are put to a model, and the form of its answer."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, Field

from operators.frames import day
from operators.llm.prompt import Prompt

VerdictName = Literal[
    "same",
    "replaces",
    "refines",
    "extends",
    "accumulates",
    "transforms",
    "contradicts",
    "implies",
    "causes",
    "unrelated",
]
"""What the later fact is to the earlier one."""

VERDICT_NAMES: tuple[VerdictName, ...] = get_args(VerdictName)

MOST_PAIRS = 16
"""Pairs of one call, at most."""

_PICTURE = re.compile(r"\s*\[image:[^\]]*\]")


def without_pictures(text: str) -> str:
    """The text without descriptions of pictures, which others than the speaker wrote."""
    return _PICTURE.sub("", text).strip()


class PairVerdict(BaseModel):
    """The verdict on one numbered pair."""

    pair: int = Field(ge=1, le=MOST_PAIRS)
    verdict: VerdictName


class PairVerdicts(BaseModel):
    """The verdicts on all pairs of a question."""

    verdicts: list[PairVerdict] = Field(min_length=1, max_length=MOST_PAIRS)


JUDGE_PAIRS = Prompt(name="judge_pairs", output=PairVerdicts, max_tokens=24 + 24 * MOST_PAIRS)


class Told(NamedTuple):
    """A fact as it stands in a question; `time` in microseconds."""

    time: int
    text: str

    def line(self, max_chars: int) -> str:
        """The date it was told, and its words: without pictures, on one line, cut."""
        words = " ".join(without_pictures(self.text).split())
        if len(words) > max_chars:
            head, _, _ = words[: max_chars + 1].rpartition(" ")
            words = f"{head or words[:max_chars]}…"
        return f"{day(self.time)} {words}"


def question(pairs: Sequence[tuple[Told, Told]], max_chars: int) -> str:
    """Pairs (later, earlier) as numbered earlier facts, each below its later one.

    A later fact that several pairs in a row share is written once.
    """
    lines: list[str] = []
    above: Told | None = None
    for number, (later, earlier) in enumerate(pairs, 1):
        if later != above:
            lines.append(f"NEW {later.line(max_chars)}")
            above = later
        lines.append(f"[{number}] {earlier.line(max_chars)}")
    return "\n".join(lines)


def objection(pairs: int, output: PairVerdicts) -> str | None:
    """What is wrong with the verdicts on so many pairs: each must be answered once."""
    answered = [one.pair for one in output.verdicts]
    unknown = sorted({number for number in answered if number > pairs})
    if unknown:
        return f"there is no pair {_listed(unknown)}; the pairs are 1 to {pairs}"
    missing = [number for number in range(1, pairs + 1) if number not in answered]
    if missing:
        return f"no verdict on pair {_listed(missing)}; give one verdict for each pair"
    twice = sorted({number for number in answered if answered.count(number) > 1})
    if twice:
        return f"more than one verdict on pair {_listed(twice)}; give one for each pair"
    return None


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
