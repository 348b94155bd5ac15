"""How a scene is told: title, keywords and summary; here without a model.

What tells is part of the YAML of the step, chosen by `kind`; see `titles`. It sees the scenes
of all conversations of the call at a time, so that one by a model asks in one round trip.
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

    `is_telling` is false for a reply that says little by itself; `said` is its event time,
    in microseconds.
    """

    text: str
    words: frozenset[str]
    is_telling: bool
    weight: float
    importance: float
    said: int


@dataclass(frozen=True)
class Scene:
    """What is to be told: members in event order, and how many of them each person is in."""

    statements: tuple[Statement, ...]
    people: dict[str, int]


class Portrait(NamedTuple):
    """What is told of a scene, and who tells it: llm or extractive."""

    title: str
    summary: str
    keywords: list[str]
    made_by: str


@dataclass(frozen=True)
class Untold:
    """The scenes of one conversation, to be told.

    Attributes:
        tenant: owner of the conversation.
        conversation_id: conversation that the scenes are of.
        scenes: what there is to tell.
        heard: in how many facts of the conversation each content word is.
        facts: number of these facts.
    """

    tenant: str
    conversation_id: str
    scenes: tuple[Scene, ...]
    heard: Counter[str]
    facts: int


class Titles(Protocol):
    """Tells scenes."""

    def tell(self, untold: Sequence[Untold], models: Models) -> list[list[Portrait]]:
        """Portraits of the scenes of each conversation, in the order given."""
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

    def tell(self, untold: Sequence[Untold], models: Models) -> list[list[Portrait]]:
        """Portraits of the scenes of each conversation."""
        del models
        return [
            [self._portrait(scene, one.heard, one.facts) for scene in one.scenes] for one in untold
        ]

    def _portrait(self, scene: Scene, heard: Counter[str], facts: int) -> Portrait:
        telling = self._keywords(scene, heard, facts)
        summary = self._summary(scene.statements)
        return Portrait(_title(scene, telling), summary, telling, "extractive")

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
        lines = [sentence(one.text) for one in telling]
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


def sentence(text: str) -> str:
    """The text on one line, closed by a stop, without captions of images."""
    bare = " ".join(_CAPTION.sub(" ", text).split())
    # Where a caption is all that was said, it is what there is to tell.
    line = " ".join(text.split()) if not bare or bare.endswith(":") else bare
    return line if line.endswith(_STOPS) else line + "."


def _title(scene: Scene, telling: Sequence[str]) -> str:
    """`Ann: tulips, greenhouse, frost`."""
    mainly = [
        name for name, count in scene.people.items() if count >= _MOSTLY * len(scene.statements)
    ]
    best = max(scene.statements, key=lambda one: one.weight)
    who = mainly if len(mainly) == 1 else []
    return title(who, telling[:_TITLE_WORDS], sentence(best.text), _TITLE_CHARS)
