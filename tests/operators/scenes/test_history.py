import itertools

import pytest

from operators.scenes.communities import Clustering
from operators.scenes.history import Ancestor, History, Scenes, checkpoints


def history(**more) -> History:
    defaults = {"clustering": Clustering(0.02, 40), "min_members": 3, "share": 0.3}
    return History(**{**defaults, "name": lambda nodes: "-".join(map(str, nodes)), **more})


def follow(*steps: list[tuple[int, ...]]) -> Scenes:
    scenes = Scenes()
    for found in steps:
        scenes = history().follow(scenes, found)
    return scenes


def lineage(scenes: Scenes) -> list[tuple[str, Ancestor]]:
    return scenes.lineage(frozenset(scenes.members))


def test_a_scene_that_grows_keeps_its_name_even_without_its_first_member():
    scenes = follow([(0, 1, 2), (5, 6, 7)], [(1, 2, 8, 9), (5, 6, 7, 10)])
    assert scenes.members == {"0": (1, 2, 8, 9), "5": (5, 6, 7, 10)}
    assert lineage(scenes) == []


def test_a_split_names_the_scene_it_came_from():
    scenes = follow([tuple(range(9))], [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)])
    assert scenes.members == {"0": (0, 1, 2, 3, 4), "5": (5, 6, 7, 8, 9)}
    assert lineage(scenes) == [("5", Ancestor("split_from", "0", 0.4444))]


def test_the_larger_part_is_the_heir():
    scenes = follow([tuple(range(9))], [(0, 1, 2), (3, 4, 5, 6, 7, 8)])
    # The name of member 0 is taken by the heir, so the next member names the new scene.
    assert scenes.members == {"0": (3, 4, 5, 6, 7, 8), "1": (0, 1, 2)}
    assert lineage(scenes) == [("1", Ancestor("split_from", "0", 0.3333))]


def test_a_merge_names_the_scene_that_is_no_more():
    scenes = follow([(0, 1, 2), (5, 6, 7, 8)], [(0, 1, 2, 5, 6, 7, 8)])
    assert scenes.members == {"5": (0, 1, 2, 5, 6, 7, 8)}
    assert lineage(scenes) == [("5", Ancestor("merged_from", "0", 1.0))]


def test_merges_are_remembered_through_merges():
    first = [(0, 1, 2), (5, 6, 7, 8), (10, 11, 12, 13, 14, 15, 16, 17)]
    second = [(0, 1, 2, 5, 6, 7, 8), first[2]]
    third = [tuple(range(9)) + first[2]]
    assert lineage(follow(first, second, third)) == [
        ("10", Ancestor("merged_from", "5", 1.0)),
        ("10", Ancestor("merged_from", "0", 1.0)),
    ]


def test_members_that_move_between_scenes_are_no_lineage():
    scenes = follow([(0, 1, 2, 3, 4, 5), (10, 11, 12)], [(0, 1, 2, 3), (4, 5, 10, 11, 12)])
    assert set(scenes.members) == {"0", "10"}
    assert lineage(scenes) == []


def test_a_small_rest_is_no_heir():
    scenes = follow([tuple(range(20))], [(0, 1, 30), (40, 41, 42)])
    assert set(scenes.members) == {"0", "40"}, "the first member names it again"
    scenes = follow([tuple(range(20))], [(19, 30, 31), (40, 41, 42)])
    assert set(scenes.members) == {"19", "40"}
    assert lineage(scenes) == []


def test_splits_are_told_between_scenes_that_are_there_and_merges_of_those_that_are_not():
    scenes = follow([tuple(range(9))], [(0, 1, 2, 3, 4), (5, 6, 7, 8)])
    assert scenes.lineage(frozenset({"5"})) == []
    merged = follow([(0, 1, 2), (5, 6, 7, 8)], [(0, 1, 2, 5, 6, 7, 8)])
    assert merged.lineage(frozenset({"0", "5"})) == []


@pytest.mark.parametrize("sessions", [0, 1, 2, 7, 26, 100, 1000])
def test_checkpoints_grow_with_the_history(sessions):
    found = checkpoints(sessions)
    assert found == sorted(set(found))
    assert found[-1:] == ([sessions] if sessions else [])
    assert sum(found) <= 8 * sessions, "a few times the last"
    assert all(later <= 1.25 * earlier + 1 for earlier, later in itertools.pairwise(found))
    # What was looked at before, but for the last look, is looked at again.
    assert set(found[:-1]) <= set(checkpoints(sessions + 1))
