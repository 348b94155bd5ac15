import numpy as np
import pytest

from operators.recall.apart import Apart, SpeakerApart


def vectors(rows: int = 40, seed: int = 3) -> np.ndarray:
    """Unit vectors that share one strong direction."""
    random = np.random.default_rng(seed)
    made = 2.0 + 0.3 * random.standard_normal((rows, 16)) + random.standard_normal((rows, 1))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_cosines_are_those_of_what_is_left() -> None:
    facts, question = vectors(), vectors(1, seed=9)[0]
    apart = Apart(facts)
    rest = apart.rest(question)
    assert apart.cosines(rest) == pytest.approx(apart.rest(facts) @ rest, abs=1e-3)


def test_what_is_shared_no_longer_counts() -> None:
    facts = vectors()
    apart = Apart(facts)
    raw = facts @ facts[0]
    left = apart.cosines(apart.rest(facts[0]))
    assert raw[1:].mean() > 0.8
    assert abs(left[1:].mean()) < 0.2
    assert left.argmax() == 0


def test_speakers_own_ways_do_not_count() -> None:
    ways = np.eye(6, dtype=np.float32)
    said = np.stack([4 * ways[0] + ways[2], 4 * ways[0] + ways[3], 4 * ways[1] + ways[2]])
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    apart = SpeakerApart(said, np.array([0, 0, 1]), 2)
    question = (4 * ways[0] + ways[3]) / np.sqrt(17, dtype=np.float32)
    cosines = apart.cosines(question, np.array([0]))
    assert cosines[1] > 0.9
    assert cosines[0] < 0
    assert apart.cosines(question, np.array([], np.int64)).shape == (3,)


def test_no_vectors() -> None:
    nothing = np.zeros((0, 4), np.float32)
    apart = Apart(nothing)
    assert apart.cosines(apart.rest(np.ones(4, np.float32))).size == 0
    empty = SpeakerApart(nothing, np.array([], np.int64), 0)
    assert empty.cosines(np.ones(4, np.float32), np.array([], np.int64)).size == 0


def test_leading_directions_are_those_of_the_decomposition() -> None:
    random = np.random.default_rng(5)
    facts = random.standard_normal((90, 24)) * ([6, 4, 2.5] + [0.5] * 21)
    facts = (facts / np.linalg.norm(facts, axis=1, keepdims=True)).astype(np.float32)
    centred = facts - facts.mean(axis=0)
    top = np.linalg.svd(centred)[2][:3]
    left = centred - centred @ top.T @ top
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    assert Apart(facts).rest(facts) == pytest.approx(left, abs=1e-2)
