from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.episodes.routing import route_by_centroid, route_by_evidence


@dataclass(frozen=True)
class Held:
    message_ids: tuple[str, ...]


ONE, TWO = Held(("a", "b", "c")), Held(("x", "y", "z"))


def test_the_first_result_outweighs_the_second_but_not_all_others():
    assert route_by_evidence([["x"], ["a"]], [ONE, TWO]) is TWO
    assert route_by_evidence([["x"], ["a"], ["b"], ["c"]], [ONE, TWO]) is ONE


def test_a_result_of_many_sources_counts_once():
    assert route_by_evidence([["x", "a"], ["y"]], [ONE, TWO]) is TWO
    assert route_by_evidence([["a", "b", "c", "x"], ["z"]], [ONE, TWO]) is ONE


def test_nothing_found_gives_no_episode_and_ties_the_first():
    assert route_by_evidence([], [ONE, TWO]) is None
    assert route_by_evidence([["unknown"]], [ONE, TWO]) is None
    assert route_by_evidence([["a"]], []) is None
    assert route_by_evidence([["x", "a"]], [ONE, TWO]) is ONE


@given(st.lists(st.lists(st.sampled_from("abcxyz?"), min_size=1, unique=True), max_size=8))
def test_the_order_of_episodes_decides_only_ties(ranked):
    def share(held):
        return sum(
            len(set(sources) & set(held.message_ids)) / len(sources) / rank
            for rank, sources in enumerate(ranked, 1)
        )

    found = route_by_evidence(ranked, [ONE, TWO])
    if abs(share(ONE) - share(TWO)) > 1e-6:
        assert found is max((ONE, TWO), key=share)
        assert found is route_by_evidence(ranked, [TWO, ONE])


def test_the_nearest_centroid_wins_and_the_first_of_equals():
    centroids = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    assert route_by_centroid(np.array([0.9, 0.1], np.float32), centroids) == 1
    assert route_by_centroid(np.array([0.1, 0.9], np.float32), centroids) == 0
