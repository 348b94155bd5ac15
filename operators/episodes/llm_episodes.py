"""Episodes by a model: title, content and keywords of each session."""

from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.episodes.extractive_episodes import ExtractiveEpisodes
from operators.episodes.sources import source_messages
from operators.frames import FACT_ORDER, SCOPE, day, groups, need, replace, values
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.llm.wording import distinct, one_line

_COLUMNS = ("text", "importance", "message_id", "source_message_ids")
_SESSION = (*SCOPE, "session_id")
_WRITTEN = ("title", "content", "keywords", "source_message_ids", "made_by")
_MOST_LINES = 60

_SessionKey = tuple[Any, ...]  # tenant, conversation, session


class Retold(BaseModel):
    """What a model makes of a session; `lines` are numbers of statements."""

    lines: list[Annotated[int, Field(ge=1, le=_MOST_LINES)]] = Field(min_length=1, max_length=12)
    content: str = Field(min_length=1, max_length=600)
    title: str = Field(min_length=1, max_length=80)
    keywords: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(max_length=8)


RETELL = Prompt("retell_session", Retold, max_tokens=448)


class LlmEpisodes(Operator, LlmPart, frozen=True):
    """Retell each session as an episode, by a model: title, content, keywords.

    Method: the episode of EverMemOS's MemCell (arXiv 2601.02163), from the facts of the session
    in place of its messages: they are shorter, dated, and name who is meant. The model tells
    which statements its text rests on; their messages are the sources. A row is a function
    of its session's facts alone. Where there is no usable answer, the row of
    `ExtractiveEpisodes` stands in, and says so in `made_by`.

    Input: `facts`, `sessions`. Output: `episodes`, a row per session with a fact.
    Errors: `ValueError` for a fact of an unknown session. Cost: LLM, one call a session; all
    sessions of the call are one round trip. Deterministic given the recorded answers.

    Attributes:
        llm: the model.
        max_statements: most statements shown of a session: the most important, the earlier of
            equals, in event order.
        line_chars: longest statement shown, in characters; a longer one is cut.
    """

    operator: Literal["llm_episodes"] = "llm_episodes"
    max_statements: int = Field(default=16, ge=3, le=_MOST_LINES)
    line_chars: int = Field(default=200, ge=40)

    READS: ClassVar[tuple[str, ...]] = ("facts", "sessions")
    WRITES: ClassVar[tuple[str, ...]] = ("episodes",)
    KEY: ClassVar[Key] = Key.SESSION
    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (RETELL,)

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Write an episode for every session of the call that has a fact."""
        standing_in = ExtractiveEpisodes().run(tables, models)
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in _COLUMNS}
        sessions = groups(facts, _SESSION, FACT_ORDER)
        heads = _heads(tables, self.operator)
        shown = {key: self._shown(rows, column) for key, rows in sessions.items()}
        questions = {
            Question(key[0], key[1], self._text(heads[key], rows, column), key[2]): rows
            for key, rows in shown.items()
        }

        def objection(question: Question, retold: Retold) -> str | None:
            return _objection(retold, len(questions[question]))

        answers = ask(models, self.llm, RETELL, list(questions), objection)
        retold: dict[_SessionKey, dict[str, Any]] = {}
        for (key, rows), answer in zip(shown.items(), answers, strict=True):
            if answer is not None:
                chosen = [rows[line - 1] for line in answer.lines]
                sources = source_messages(chosen, sessions[key], column)
                retold[key] = _written(answer, sources)
        return StepResult(
            {"episodes": _with(standing_in.tables["episodes"], retold)},
            {**standing_in.counters, "by_rules": len(sessions) - len(retold)},
        )

    def _shown(self, rows: list[int], column: dict[str, list[Any]]) -> list[int]:
        """Rows of the statements shown, in event order; of equal texts the first."""
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(" ".join(column["text"][row].split()), row)
        place = {row: at for at, row in enumerate(first.values())}
        ranked = sorted(place, key=lambda row: (-column["importance"][row], place[row]))
        return sorted(ranked[: self.max_statements], key=place.__getitem__)

    def _text(self, head: str, rows: list[int], column: dict[str, list[Any]]) -> str:
        texts = [one_line(column["text"][row], self.line_chars) for row in rows]
        return "\n".join([head, *(f"[{n}] {text}" for n, text in enumerate(texts, start=1))])


def _heads(tables: Tables, step: str) -> dict[_SessionKey, str]:
    """The first line about each session: when it was, who speaks."""
    table = need(tables, "sessions", step)
    names = (*_SESSION, "start_time", "speakers")
    rows = zip(*(values(table, name) for name in names), strict=True)
    return {tuple(key): f"{day(start)}: {', '.join(speakers)}" for *key, start, speakers in rows}


def _objection(retold: Retold, lines: int) -> str | None:
    """What is wrong with an answer about so many numbered lines."""
    empty = [name for name in ("content", "title") if not getattr(retold, name).strip()]
    if empty:
        return f"`{empty[0]}` is empty"
    if wrong := sorted({line for line in retold.lines if line > lines}):
        named = ", ".join(map(str, wrong))
        return f"`lines` names {named}, but the statements are numbered from 1 to {lines}"
    return None


def _written(retold: Retold, sources: list[str]) -> dict[str, Any]:
    return {
        "title": " ".join(retold.title.split()),
        "content": " ".join(retold.content.split()),
        "keywords": distinct(retold.keywords),
        "source_message_ids": sources,
        "made_by": "llm",
    }


def _with(episodes: pa.Table, retold: dict[_SessionKey, dict[str, Any]]) -> pa.Table:
    """The episodes with what the model wrote in place of what the rules did."""
    rows: list[dict[str, Any]] = episodes.to_pylist()
    written = [retold.get(tuple(row[name] for name in _SESSION), row) for row in rows]
    return replace(
        "episodes", episodes, {name: [row[name] for row in written] for name in _WRITTEN}
    )
