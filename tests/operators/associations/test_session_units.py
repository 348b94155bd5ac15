"""Units of sessions against what their definitions say."""

from math import log, sqrt

import numpy as np

from operators.associations.session_units import (
    KeywordUnits,
    Session,
    full_units,
    summary_units,
    turn_units,
)

VECTORS = np.eye(4, dtype=np.float32)


def session(name, rows, lengths, cells, summary=(), keywords=()):
    return Session(name, VECTORS[rows], lengths, cells, summary, keywords)


def unit(*values):
    vector = np.array(values, float)
    return vector / np.linalg.norm(vector)


def test_full_is_weighed_by_length():
    made = full_units([session("a", [0, 1], [10, 30], ["x", "y"])])
    np.testing.assert_allclose(made[0], unit(1, 3, 0, 0), atol=1e-3)


def test_turns_weigh_cells_alike():
    made = turn_units([session("a", [0, 1, 2], [10, 10, 10], ["x", "y", "x"])])
    np.testing.assert_allclose(made[0], unit(0.5, 1, 0.5, 0), atol=1e-3)


def test_summary_is_of_the_facts_told_or_of_all():
    told = session("a", [0, 1, 2], [1, 1, 1], ["x", "x", "x"], summary=[2])
    untold = session("b", [0, 1], [1, 1], ["x", "x"])
    made = summary_units([told, untold])
    np.testing.assert_allclose(made, [unit(0, 0, 1, 0), unit(1, 1, 0, 0)], atol=1e-3)


def test_keywords_are_weighed_by_rarity():
    words = [["pottery class", "Lisbon"], ["Lisbon"], ["Lisbon", "pottery"], []]
    sessions = [session(str(at), [0], [1], ["x"], (), kw) for at, kw in enumerate(words)]
    units = KeywordUnits(sessions)
    made = units.scores(0, 4)
    weight = {"lisbon": log(1 + 4 / 3), "pottery": log(1 + 4 / 2), "class": log(1 + 4 / 1)}
    sets = [{"pottery", "class", "lisbon"}, {"lisbon"}, {"lisbon", "pottery"}, set[str]()]
    for one, left in enumerate(sets):
        for two, right in enumerate(sets[:3]):
            shared = sum(weight[word] ** 2 for word in left & right)
            norm = sqrt(sum(weight[w] ** 2 for w in left) * sum(weight[w] ** 2 for w in right))
            assert abs(made[one, two] - shared / (norm or 1)) < 0.01
    np.testing.assert_array_equal(units.scores(2, 3), made[2:3, :3])
