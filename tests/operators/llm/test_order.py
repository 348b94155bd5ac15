"""Calls that begin alike follow each other; long and short ones alternate."""

import random
from itertools import pairwise

from operators.llm.order import sending_order
from tests.operators.llm.calls import request

HEADER = "Session {} of 8 May 2023, 1:56 pm, between Caroline and Melanie, at home.\n"


def texts(requests) -> list[str]:
    return [r.turns[-1][1] for r in sending_order(requests)]


def test_equal_beginnings_follow_each_other():
    requests = [request(HEADER.format(n % 3) + f"[1] line {n}") for n in range(12)]
    sessions = [text[8] for text in texts(requests)]
    assert len(sessions) == 12
    changes = sum(a != b for a, b in pairwise(sessions))
    assert changes == 2


def test_prompts_do_not_mix():
    requests = [request(f"text {n}", prompt=f"p{n % 2}@1:0") for n in range(10)]
    prompts = [r.prompt for r in sending_order(requests)]
    assert prompts == sorted(prompts)


def test_long_and_short_alternate_within_a_family_and_between_families():
    family = [request(HEADER.format(1) + "x" * n) for n in (1, 2, 3, 4, 5)]
    assert [len(t) - len(HEADER) + 1 for t in texts(family)] == [5, 1, 4, 2, 3]
    alone = [request(str(n) * n) for n in (1, 2, 3, 4)]
    assert [len(t) for t in texts(alone)] == [4, 1, 3, 2]


def test_the_order_depends_on_the_set_only():
    requests = [request(HEADER.format(n % 2) + "y" * (n % 5) + str(n)) for n in range(40)]
    expected = sending_order(requests)
    random.Random(1).shuffle(requests)
    assert sending_order(requests) == expected
    assert sending_order([]) == []
