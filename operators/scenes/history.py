"""Scene ids that survive: communities followed over the history of a conversation.

Ids cannot be remembered from run to run: memory is a function of the log. So the history is
played again in steps that grow with it: the communities after 1, 2, ... 8, 10, 12, ...
sessions and after all of them, each found from the ones before. A community takes over the id
of the former scene it has most members of. What a run finds at a checkpoint is what every
later run has found there, so that a new session only changes the last step.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from operators.scenes.communities import Clustering, Community, node_name
from operators.scenes.graph import Graph

NameScene = Callable[[Sequence[int]], str]
"""The id of a scene that is new, from nodes that stand for it."""


@dataclass(frozen=True)
class Ancestor:
    """A former scene that members came from: `share` of its members, four digits."""

    type: Literal["split_from", "merged_from"]
    scene_id: str
    share: float


@dataclass
class Scenes:
    """Scenes at one time.

    Attributes:
        members: by scene id.
        ancestors: by scene id, then by the ancestor's id. A `merged_from` names a scene that
            is no more, with those that had merged into it; a `split_from` one that was there
            at the time.
    """

    members: dict[str, Community] = field(default_factory=dict[str, Community])
    ancestors: dict[str, dict[str, Ancestor]] = field(
        default_factory=dict[str, dict[str, Ancestor]]
    )

    def lineage(self, scene_ids: frozenset[str]) -> list[tuple[str, Ancestor]]:
        """Scenes of `scene_ids` with their ancestors; splits only from one of them."""
        return [
            (scene_id, ancestor)
            for scene_id in sorted(scene_ids)
            for ancestor in self.ancestors.get(scene_id, {}).values()
            if (ancestor.type == "split_from") == (ancestor.scene_id in scene_ids)
        ]


@dataclass(frozen=True)
class History:
    """Follows scenes over the sessions of a conversation.

    Attributes:
        clustering: how communities are found.
        min_members: smaller communities are no scenes.
        share: part of a scene's members (and two at least) that makes an heir or a descendant.
        name: gives an id to a new scene.
    """

    clustering: Clustering
    min_members: int
    share: float
    name: NameScene

    def play(self, graph: Graph, session_of: Sequence[int]) -> Scenes:
        """The scenes after all sessions; `session_of` numbers the session of each node."""
        scenes = Scenes()
        found: list[Community] = []
        dated = sorted(
            (max(session_of[one], session_of[other]), one, other, weight)
            for (one, other), weight in graph.weights.items()
        )
        edges = [(node_name(one), node_name(other), weight) for _, one, other, weight in dated]
        for count in checkpoints(max(session_of, default=-1) + 1):
            known = bisect_left(dated, (count,))
            found = self.clustering.find(edges[:known], found)
            large = [one for one in found if len(one) >= self.min_members]
            scenes = self.follow(scenes, large)
        return scenes

    def follow(self, former: Scenes, found: Sequence[Community]) -> Scenes:
        """The next scenes: ids for the communities found, with what became of the former."""
        overlaps = _overlaps(former.members, found)
        heirs = self._heirs(former.members, overlaps)
        scenes = Scenes()
        taken = set(heirs.values())
        for at, community in enumerate(found):
            scene_id = heirs.get(at) or self._new_id(community, taken)
            taken.add(scene_id)
            scenes.members[scene_id] = community
            if at in heirs and scene_id in former.ancestors:
                scenes.ancestors[scene_id] = dict(former.ancestors[scene_id])
        ids = list(scenes.members)
        for (scene_id, at), count in sorted(overlaps.items()):
            size = len(former.members[scene_id])
            if ids[at] == scene_id or not self._is_part(count, size):
                continue
            split = scene_id in scenes.members
            if split and at in heirs:
                continue  # members moved from one scene to another: neither is new
            mine = scenes.ancestors.setdefault(ids[at], {})
            share = round(count / size, 4)
            mine[scene_id] = Ancestor("split_from" if split else "merged_from", scene_id, share)
            if not split:
                for name, elder in former.ancestors.get(scene_id, {}).items():
                    if elder.type == "merged_from" and name != ids[at]:
                        mine.setdefault(name, elder)
        return scenes

    def _heirs(
        self, former: Mapping[str, Community], overlaps: Mapping[tuple[str, int], int]
    ) -> dict[int, str]:
        """The scene id each community inherits: greatest overlap first, one heir per id."""
        heirs: dict[int, str] = {}
        given: set[str] = set()
        ranked = sorted((-count, scene_id, at) for (scene_id, at), count in overlaps.items())
        for negative, scene_id, at in ranked:
            if scene_id in given or at in heirs:
                continue
            if self._is_part(-negative, len(former[scene_id])):
                heirs[at] = scene_id
                given.add(scene_id)
        return heirs

    def _is_part(self, count: int, size: int) -> bool:
        return count >= max(2, self.share * size)

    def _new_id(self, community: Community, taken: set[str]) -> str:
        """The name from the first member that names no other scene."""
        for member in community:
            if (scene_id := self.name([member])) not in taken:
                return scene_id
        return self.name(community)


def checkpoints(sessions: int) -> list[int]:
    """After how many sessions communities are looked at: steps of a quarter at most, and all.

    Numbers with three leading binary digits, so that the cost is a few times that of the
    last look. With powers of two alone, 10% more facts lose their scene in a new session.

    >>> checkpoints(26)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 26]
    """
    steps = [count for count in range(1, sessions) if count % max(1, _top(count) // 4) == 0]
    return [*steps, sessions] if sessions else []


def _top(count: int) -> int:
    """The greatest power of two up to a number."""
    return 1 << (count.bit_length() - 1)


def _overlaps(
    former: Mapping[str, Community], found: Sequence[Community]
) -> dict[tuple[str, int], int]:
    """How many members of a former scene are in each community, where any are."""
    at = {node: number for number, community in enumerate(found) for node in community}
    counts: dict[tuple[str, int], int] = {}
    for scene_id, members in former.items():
        for node in members:
            if node in at:
                key = (scene_id, at[node])
                counts[key] = counts.get(key, 0) + 1
    return counts
