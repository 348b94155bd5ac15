import numpy as np

from operators.recall.scene import SceneIndex

SCENES = [
    {"title": "Sailing", "keywords": ["boat"], "summary": "Ada sails."},
    {"title": "Kitchen", "keywords": ["soup"], "summary": "Tom cooks."},
]
MEMBERS = (np.array([0, 0, 1]), np.array([0, 2, 2]), np.array([1.0, 0.5, 0.4]))


def test_words_of_a_scene_find_its_members() -> None:
    index = SceneIndex(SCENES, MEMBERS, np.array([0, 1, 2]), 4)
    assert index.words(["boat"]).tolist() == [1, 0, 0.5, 0]
    assert index.words(["soup"]).tolist() == [0, 0, 0.4, 0]


def test_nearness_is_the_mean_of_the_members() -> None:
    index = SceneIndex(SCENES, MEMBERS, np.array([0, 1, 2]), 4)
    assert index.near(np.array([0.6, 0.2, np.nan])).tolist() == [0.4, 0, 0.2, 0]


def test_no_scenes() -> None:
    none = np.array([], np.int64)
    index = SceneIndex([], (none, none, np.zeros(0)), none, 2)
    assert index.words(["boat"]).tolist() == index.near(np.zeros(0)).tolist() == [0, 0]
