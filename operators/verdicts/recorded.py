"""The table `verdicts` as the steps that go by it see it."""

from typing import Any, NamedTuple

from operators.base import Tables
from operators.frames import SCOPE, need, values

Ends = tuple[str, str]  # ids of the later and of the earlier fact
TABLE = "verdicts"


class Recorded(NamedTuple):
    """What the model said of a pair, and the cosine of its texts (four digits)."""

    verdict: str
    score: float


Verdicts = dict[Ends, Recorded]
"""Of one conversation."""


def recorded_verdicts(tables: Tables, step: str) -> dict[tuple[Any, ...], Verdicts]:
    """The verdicts of the call by conversation (`SCOPE`).

    Raises:
        KeyError: no earlier step gave the table.
    """
    table = need(tables, TABLE, step)
    names = (*SCOPE, "later_id", "earlier_id", "verdict", "score")
    out: dict[tuple[Any, ...], Verdicts] = {}
    for tenant, conversation, later, earlier, said, score in zip(
        *(values(table, name) for name in names), strict=True
    ):
        out.setdefault((tenant, conversation), {})[later, earlier] = Recorded(said, score)
    return out
