"""How a scene is told: title, keywords and summary, without a model.

What tells is part of the YAML of the step, chosen by `kind`. It sees all scenes of a
conversation at a time, so that one by a model can send them as one batch.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.episodes.keywords import keywords
from operators.episodes.title import shortened, title
from operators.scenes.graph import content_words

_CAPTION = re.compile(r"\[image:[^\]]*\]\.?")
_STOPS = (".", "!", "?", ":", ";", "…", ")", '"', "”")
_CANDIDATES = 16  # keywords to choose from, of so many central statements:
_CENTRAL = 8
_MOSTLY = 0.7  # share of the members of one person that puts the name in the title
_TITLE_WORDS, _TITLE_CHARS = 3, 80


class Statement(NamedTuple):
    """A member of a scene: `weight` is its centrality, `words` its content words.

    `is_telling` is false for a reply that says little by itself.
    """

    text: str
    words: frozenset[str]
    is_telling: bool
    weight: float
    importance: float


@dataclass(frozen=True)
class Scene:
    """What is to be told: members in event order, and how many of them each person is in."""

    statements: tuple[Statement, ...]
    people: dict[str, int]


class Portrait(NamedTuple):
    """What is told of a scene."""

    title: str
    summary: str
    keywords: list[str]


class Titles(Protocol):
    """Tells the scenes of one conversation."""

    def tell(
        self, scenes: Sequence[Scene], heard: Counter[str], facts: int, models: Models
    ) -> list[Portrait]:
        """A portrait of each scene; `heard` says in how many of all `facts` a word is."""
        ...


class ExtractiveTitles(BaseModel):
    """Words and statements of the scene itself.

    Keywords are those of the scene's text, ranked by tf-idf: the members that have them, by
    how rare they are in the conversation. The title is the first three, after the name of
    the person most of it is about. The summary is made of central and important statements,
    in event order.

    Attributes:
        max_chars: longest summary, in characters.
        max_keywords: most keywords.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["extractive"] = "extractive"
    max_chars: int = Field(default=320, ge=40)
    max_keywords: int = Field(default=8, ge=1)

    def tell(
        self, scenes: Sequence[Scene], heard: Counter[str], facts: int, models: Models
    ) -> list[Portrait]:
        """A portrait of each scene."""
        del models
        return [self._portrait(scene, heard, facts) for scene in scenes]

    def _portrait(self, scene: Scene, heard: Counter[str], facts: int) -> Portrait:
        telling = self._keywords(scene, heard, facts)
        return Portrait(_title(scene, telling), self._summary(scene.statements), telling)

    def _keywords(self, scene: Scene, heard: Counter[str], facts: int) -> list[str]:
        central = sorted(scene.statements, key=lambda one: -one.weight)[:_CENTRAL]
        texts = [one.text for one in scene.statements if one.weight >= central[-1].weight]
        ranked: list[tuple[float, int, str]] = []
        for place, keyword in enumerate(keywords(texts, list(scene.people), _CANDIDATES)):
            stems = content_words(keyword)
            here = sum(stems <= one.words for one in scene.statements)
            rarest = min((heard[word] for word in stems), default=0)
            worth = here * math.log((facts + 1) / (rarest + 1)) if stems else 0.0
            ranked.append((-round(worth, 4), place, keyword))
        return [keyword for _, _, keyword in sorted(ranked)[: self.max_keywords]]

    def _summary(self, statements: Sequence[Statement]) -> str:
        telling = [one for one in statements if one.is_telling] or statements
        lines = [_sentence(one.text) for one in telling]
        # What leaves room for another comes first.
        ranked = sorted(
            range(len(telling)),
            key=lambda at: (
                2 * len(lines[at]) > self.max_chars,
                -round(telling[at].weight * telling[at].importance, 4),
                at,
            ),
        )
        chosen: list[int] = []
        room = self.max_chars
        for at in ranked:
            if len(lines[at]) <= room:
                chosen.append(at)
                room -= len(lines[at]) + 1
        if not chosen:
            return shortened(lines[ranked[0]], self.max_chars)
        return " ".join([lines[at] for at in sorted(chosen)])


AnyTitles = ExtractiveTitles
"""What can be chosen; a union by `kind` once there is another."""


def _sentence(text: str) -> str:
    """The text on one line, closed by a stop, without captions of images."""
    line = " ".join(_CAPTION.sub(" ", text).split()) or text
    return line if line.endswith(_STOPS) else line + "."


def _title(scene: Scene, telling: Sequence[str]) -> str:
    """`Ann: tulips, greenhouse, frost`."""
    mainly = [
        name for name, count in scene.people.items() if count >= _MOSTLY * len(scene.statements)
    ]
    best = max(scene.statements, key=lambda one: one.weight)
    who = mainly if len(mainly) == 1 else []
    return title(who, telling[:_TITLE_WORDS], _sentence(best.text), _TITLE_CHARS)
