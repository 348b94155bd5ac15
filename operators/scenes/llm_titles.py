"""Scenes told by a model."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.frames import day
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.llm.wording import distinct, one_line
from operators.scenes.portrait import (
    ExtractiveTitles,
    Portrait,
    Scene,
    Statement,
    Untold,
    sentence,
)

_MOST_PEOPLE = 6


class SceneTold(BaseModel):
    """What a model says of a scene: the summary first, so that the title can rest on it."""

    summary: str = Field(min_length=1, max_length=320)
    title: str = Field(min_length=1, max_length=80)
    keywords: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(max_length=8)


TELL = Prompt("tell_scene", SceneTold, max_tokens=320)


class LlmTitles(LlmPart, frozen=True):
    """Title, summary and keywords by a model, from the most central statements of a scene.

    One question a scene: a question that held several would be asked again whenever one of
    them changed, and would save a few dozen tokens of framing a scene at most. All scenes of
    the call are one round trip. A question depends on the statements that it shows alone, so
    that members at the edge of a scene come and go without a call. Where there is no usable
    answer, `ExtractiveTitles` stand in, and say so in `made_by`.

    Attributes:
        llm: the model.
        max_statements: most statements shown of a scene: the most central that say something
            by themselves, the earlier of equals, in event order.
        line_chars: longest statement shown, in characters; a longer one is cut.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["llm"] = "llm"
    max_statements: int = Field(default=10, ge=3, le=40)
    line_chars: int = Field(default=200, ge=40)

    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (TELL,)

    def tell(self, untold: Sequence[Untold], models: Models) -> list[list[Portrait]]:
        """Portraits of the scenes of each conversation."""
        questions = [
            Question(one.tenant, one.conversation_id, self._question(scene))
            for one in untold
            for scene in one.scenes
        ]
        answers = iter(ask(models, self.llm, TELL, questions, _objection))
        standing_in = ExtractiveTitles().tell(untold, models)
        return [[_portrait(next(answers), rule) for rule in rules] for rules in standing_in]

    def _question(self, scene: Scene) -> str:
        shown = self._shown(scene.statements)
        texts = [one_line(sentence(one.text), self.line_chars) for one in shown]
        lines: list[str] = []
        last = ""
        for number, (one, text) in enumerate(zip(shown, texts, strict=True), start=1):
            if (now := day(one.said)) != last:
                lines.append(now)
            lines.append(f"[{number}] {text}")
            last = now
        # Who is in other members only is left out: they would change the question.
        people = sorted(name for name in scene.people if any(name in text for text in texts))
        head = [f"People: {', '.join(people[:_MOST_PEOPLE])}"] if people else []
        return "\n".join([*head, *lines])

    def _shown(self, statements: Sequence[Statement]) -> list[Statement]:
        telling = [one for one in statements if one.is_telling] or statements
        ranked = sorted(range(len(telling)), key=lambda at: (-telling[at].weight, at))
        return [telling[at] for at in sorted(ranked[: self.max_statements])]


def _objection(question: Question, told: SceneTold) -> str | None:
    del question
    empty = [name for name in ("title", "summary") if not getattr(told, name).strip()]
    return f"`{empty[0]}` is empty" if empty else None


def _portrait(told: SceneTold | None, standing_in: Portrait) -> Portrait:
    if told is None:
        return standing_in
    title, summary = (" ".join(text.split()) for text in (told.title, told.summary))
    return Portrait(title, summary, distinct(told.keywords), "llm")
