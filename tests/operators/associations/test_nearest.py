"""The nearest earlier rows against a slow reading of the definition."""

import numpy as np
import pytest

from operators.associations.nearest import (
    centred_cosines,
    cosines,
    nearest_by_group,
    nearest_earlier,
)
from operators.vectors import similarities


def unit_vectors(rows: int, seed: int = 1):
    data = np.random.default_rng(seed).normal(size=(rows, 12)) + 0.8
    return (data / np.linalg.norm(data, axis=1, keepdims=True)).astype(np.float32)


def slow(scores, allowed, most):
    out = []
    for row in range(len(scores)):
        ranked = sorted((-scores[row][at], at) for at in range(row) if allowed(row, at))[:most]
        out.append([(-score, at) for score, at in ranked])
    return out


def pairs(nearest):
    return [
        [(round(s, 4), t) for s, t in zip(nearest.scores[row], nearest.targets[row], strict=True)][
            :count
        ]
        for row, count in enumerate(nearest.counts)
    ]


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 700])
def test_equals_the_definition(rows):
    vectors = unit_vectors(rows)
    vectors[rows // 2 :] = vectors[: rows - rows // 2]  # repeats: ties go to the earlier row
    exact = np.rint(similarities(vectors, vectors) * np.float32(10_000)) / 10_000
    group = np.arange(rows) * 3 // 100
    within, across = nearest_by_group(cosines(vectors), group, 6)
    rounded = np.round(np.minimum(exact, 1).astype(float), 4).tolist()
    assert pairs(nearest_earlier(cosines(vectors), rows, 6)) == slow(rounded, lambda *_: True, 6)
    assert pairs(within) == slow(rounded, lambda a, b: group[a] == group[b], 6)
    assert pairs(across) == slow(rounded, lambda a, b: group[a] != group[b], 6)


def test_centred_cosines_are_cosines_about_the_mean_before():
    vectors = unit_vectors(100)
    made = centred_cosines(vectors)(0, 100)
    for row in (3, 20, 99):
        before = row // 16 * 16
        mean = vectors[:before].astype(float).sum(axis=0) / (before + 10)
        one, many = vectors[row] - mean, vectors[:row] - mean
        expected = many @ one / np.linalg.norm(one) / np.linalg.norm(many, axis=1)
        assert np.abs(made[row, :row] - expected).max() < 5e-3


def test_later_rows_change_nothing():
    vectors = unit_vectors(600)
    whole = nearest_earlier(centred_cosines(vectors), 600, 5)
    for size in (17, 300, 513):
        part = nearest_earlier(centred_cosines(vectors[:size]), size, 5)
        assert pairs(part) == pairs(whole)[:size]


@pytest.mark.parametrize("rising", [False, True])
def test_long_rows_are_looked_at_in_parts(rising):
    """Of 3000 rows most columns are left out unseen; none is that counts."""
    vectors = unit_vectors(3000)
    if rising:  # What comes later is nearer: nothing can be left out.
        vectors[:, 0] += np.linspace(0, 3, 3000, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    group = np.random.default_rng(2).integers(0, 200, 3000)
    within, across = nearest_by_group(centred_cosines(vectors), group, 6)
    scores = centred_cosines(vectors)
    for start in range(2992, 3000):
        units = np.rint(scores(2992, 3000)[start - 2992] * np.float32(10_000)).clip(-10_000, 10_000)
        ranked = np.lexsort((np.arange(start), -units[:start]))
        same = group[ranked] == group[start]
        assert across.targets[start].tolist() == ranked[~same][:6].tolist()
        assert within.targets[start][: within.counts[start]].tolist() == ranked[same][:6].tolist()
