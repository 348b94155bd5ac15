import math

import bm25s
import numpy as np

from operators.recall.bm25 import Bm25, TermCounts, scaled

DOCUMENTS = [["cold", "tea"], ["tea", "tea", "cup"], [], ["boat"]]
SESSION = np.array([0, 0, 0, 1])


def test_score_is_the_formula() -> None:
    scores = Bm25(TermCounts.of(DOCUMENTS), k1=1.2, b=0.75).scores(["tea"])
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    expected = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 1.5))
    assert math.isclose(scores[1], expected)
    assert scores[2] == scores[3] == 0


def test_a_repeated_or_unknown_query_term_changes_nothing() -> None:
    index = Bm25(TermCounts.of(DOCUMENTS))
    once = index.scores(["tea", "cup"])
    assert (index.scores(["cup", "tea", "tea", "zebra"]) == once).all()


def test_windows_equal_joined_documents_inside_the_session() -> None:
    joined = [
        DOCUMENTS[0] + DOCUMENTS[1],
        DOCUMENTS[0] + DOCUMENTS[1] + DOCUMENTS[2],
        DOCUMENTS[1] + DOCUMENTS[2],
        DOCUMENTS[3],
    ]
    windows = Bm25(TermCounts.of(DOCUMENTS).windows(1, SESSION))
    for query in (["tea"], ["cup", "boat"], ["cold"]):
        assert np.allclose(windows.scores(query), Bm25(TermCounts.of(joined)).scores(query))


def test_groups_equal_joined_documents() -> None:
    joined = [[t for d in DOCUMENTS[:3] for t in d], DOCUMENTS[3]]
    groups = Bm25(TermCounts.of(DOCUMENTS).groups(SESSION))
    assert np.allclose(groups.scores(["tea"]), Bm25(TermCounts.of(joined)).scores(["tea"]))


def test_nothing_to_search() -> None:
    empty = TermCounts.of([])
    none = np.array([], np.int64)
    assert Bm25(empty).scores(["tea"]).size == 0
    assert Bm25(empty.windows(2, none)).scores(["tea"]).size == 0
    assert Bm25(empty.groups(none)).scores(["tea"]).size == 0


def test_scaled_to_the_best() -> None:
    assert scaled(np.array([0.0, 2.0, 1.0])).tolist() == [0.0, 1.0, 0.5]
    assert scaled(np.zeros(2)).tolist() == [0.0, 0.0]


def test_same_scores_as_the_library() -> None:
    library = bm25s.BM25(k1=1.2, b=0.75, method="lucene", dtype="float64")
    library.index(DOCUMENTS, show_progress=False)
    ours = Bm25(TermCounts.of(DOCUMENTS))
    for query in (["tea"], ["tea", "boat"], ["cold", "cup"]):
        # It leaves out the constant factor k1 + 1.
        assert np.allclose(ours.scores(query), 2.2 * library.get_scores(query))
