"""In which order calls are sent, so that prefix caches hit and the engine is evenly loaded.

As BatchLLM (Zheng et al. 2024, arXiv:2412.03594): calls that begin alike follow each other,
so their common prefix is computed once and still there for the next; where the prefix is
the same, long and short calls alternate, so that at any time there is about as much prompt
to read as there are answers to write.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from operators.llm.call import Request

_SHARED = 64
"""Characters that calls must have in common after their instructions to be kept together:
about the 16 tokens of a block of vLLM's cache. Less is not cached anyhow."""

_Item = TypeVar("_Item")


def sending_order(requests: Iterable[Request]) -> list[Request]:
    """`requests` as they are best sent.

    Blocks have prompt, schema and first turn (the instructions) in common; within a block,
    families also have the beginning of the rest in common (the header of a session, say).
    Cost: a sort. Depends on the set of requests only, not on their order.
    """
    ordered = sorted(requests, key=_text_key)
    out: list[Request] = []
    for block in _grouped(ordered, lambda r: (r.prompt, r.schema, r.turns[:1])):
        families = _grouped(block, lambda request: _rest(request)[:_SHARED])
        for family in _mixed(families, _mean_length):
            out += _mixed(family, _length)
    return out


def _text_key(request: Request) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return request.prompt, request.schema, request.turns


def _mixed(items: Sequence[_Item], length: Callable[[_Item], float]) -> list[_Item]:
    """Longest, shortest, second longest, second shortest, and so on."""
    falling = sorted(items, key=length, reverse=True)
    half = (len(falling) + 1) // 2
    out = falling.copy()
    out[::2] = falling[:half]
    out[1::2] = falling[half:][::-1]
    return out


def _rest(request: Request) -> str:
    return "\n".join(text for _, text in request.turns[1:])


def _length(request: Request) -> float:
    return sum(len(text) for _, text in request.turns)


def _mean_length(family: Sequence[Request]) -> float:
    return sum(map(_length, family)) / len(family)


def _grouped(items: Sequence[_Item], key: Callable[[_Item], Hashable]) -> list[list[_Item]]:
    return [list(group) for _, group in groupby(items, key)]
