import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.recall.graph import DAMPING, SEEDS, Edge, Membership, MemoryGraph, seeds_of
from tests.effort import examples

EDGES = [Edge(0, 1, 0.8), Edge(1, 2, 0.4), Edge(3, 3, 1.0)]
MEMBERS = [Membership(0, 2, 0.9), Membership(0, 4, 0.5), Membership(1, 5, 1.0)]
FIRST = np.array([1.0, 0, 0, 0, 0, 0])


def test_walk_reaches_what_is_linked_and_less_what_is_far() -> None:
    reached = MemoryGraph(6, EDGES, MEMBERS).walk(FIRST)
    assert reached[1] > reached[2] > reached[4] > 0
    assert reached[3] == reached[5] == 0


def test_walk_is_the_stationary_share() -> None:
    graph = MemoryGraph(3, EDGES[:2], [])
    step = np.array([[0, 1, 0], [0.8 / 1.2, 0, 0.4 / 1.2], [0, 1, 0]])
    seeds = np.array([1.0, 0, 0])
    restart = (1 - DAMPING) * seeds
    exact = restart @ np.linalg.inv(np.eye(3) - DAMPING * step) - restart
    expected = np.log1p(exact / 1e-4) / np.log1p(1e4)
    assert graph.walk(seeds) == pytest.approx(expected, abs=1e-3)


def test_spread_goes_through_scenes_and_not_back_to_the_seed() -> None:
    spread = MemoryGraph(6, EDGES, MEMBERS).spread(np.array([0, 0, 1.0, 0, 0, 0]))
    assert spread[4] > 0
    assert spread[2] == spread[5] == spread[1] == 0


def test_without_links_and_scenes() -> None:
    graph = MemoryGraph(2, [], [])
    assert graph.walk(np.array([1.0, 0])).tolist() == [0, 0]
    assert graph.spread(np.array([1.0, 0])).tolist() == [0, 0]
    assert MemoryGraph(0, [], []).walk(np.zeros(0)).size == 0


def test_seeds_are_few_and_sum_to_one() -> None:
    seeds = seeds_of(np.arange(40.0))
    assert np.count_nonzero(seeds) == SEEDS
    assert seeds.sum() == pytest.approx(1)
    assert seeds.argmax() == 39
    assert seeds_of(np.zeros(0)).size == 0


@given(st.integers(0, 999))
@examples(20)
def test_order_of_rows_does_not_matter(seed: int) -> None:
    made = random.Random(seed)
    edges = [Edge(made.randrange(9), made.randrange(9), made.random()) for _ in range(20)]
    members = [Membership(made.randrange(3), made.randrange(9), made.random()) for _ in range(9)]
    seeds = seeds_of(np.array([made.random() for _ in range(9)]))
    plain = MemoryGraph(9, edges, members)
    mixed = MemoryGraph(9, made.sample(edges, 20), made.sample(members, 9))
    assert np.array_equal(plain.walk(seeds), mixed.walk(seeds))
    assert np.array_equal(plain.spread(seeds), mixed.spread(seeds))
    assert np.all((plain.walk(seeds) >= 0) & (plain.walk(seeds) <= 1))
