import numpy as np

from operators.recall.apart import Apart
from operators.recall.bm25 import Bm25, TermCounts
from operators.recall.feedback import Feedback

SAID = ["boat paint", "boat harbour", "boat mast", "harbour wind", "soup", "bread", "tea"]


def feedback() -> tuple[Feedback, np.ndarray]:
    random = np.random.default_rng(4)
    vectors = random.standard_normal((len(SAID), 12)).astype(np.float32)
    vectors[3] = vectors[1] + 0.1 * vectors[3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    counts = TermCounts.of([text.split() for text in SAID])
    made = Feedback(Apart(vectors), vectors, np.arange(len(SAID)), counts, Bm25(counts))
    return made, vectors


SCORES = np.array([2.0, 3.0, 1.5, 0, 0, 0, 0])


def test_words_of_the_best_messages_find_another() -> None:
    made, _ = feedback()
    scores = made.words(["boat"], SCORES)
    assert scores[3] > scores[4]
    assert scores[5] == 0


def test_vectors_move_towards_the_best_messages() -> None:
    made, vectors = feedback()
    apart = Apart(vectors)
    question = vectors[6]
    near = apart.cosines(apart.rest(question))
    moved = made.cosines(question, near, SCORES)
    assert moved[1] > near[1]
    assert moved[3] > near[3]


def test_too_few_messages() -> None:
    made, vectors = feedback()
    near = np.zeros(len(SAID))
    assert made.cosines(vectors[0], near, np.ones(2)) is near
    assert made.words([], np.zeros(0)).size == 0
