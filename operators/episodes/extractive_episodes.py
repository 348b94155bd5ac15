"""Episodes by extraction: title, content and keywords of each session, without a model."""

from collections import Counter
from typing import Any, ClassVar, Literal

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.episodes.keywords import BREAK, Phrases, best_terms, name_words, phrases
from operators.episodes.sources import source_messages
from operators.episodes.title import title
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, values
from operators.memtree.summary import ExtractiveSummarizer, Sentence
from schemas.ids import content_id

_COLUMNS = ("session_id", "speaker", "text", "importance", "message_id", "source_message_ids")
_MIN_IMPORTANCE = 0.2  # questions and exclamations are below
_MIN_WORDS = 3  # words of content; a heading has fewer

_Columns = dict[str, list[Any]]


class ExtractiveEpisodes(Operator, frozen=True):
    """Retell each session as an episode: title, content, keywords.

    Method: the episode of EverMemOS's MemCell (title and content), by extraction where it asks
    a model. The content is the statements whose words the session shares most (SumBasic, as
    in MemTree's summaries), in event order; keywords are found as in YAKE!
    (https://doi.org/10.1016/j.ins.2019.09.013); the title names the speakers, who says most
    first, and the best keywords. A row is a function of its session's facts alone: keywords
    are not weighed against other sessions, so a later session changes no earlier episode.

    Input: `facts`, `sessions`. Output: `episodes`, a row per session with a fact.
    Errors: `ValueError` for a fact of an unknown session. Cost: none. Deterministic.

    Attributes:
        max_chars: longest content, in characters.
        max_keywords: most keywords.
        title_topics: most keywords in the title.
        title_chars: longest title, in characters.
    """

    operator: Literal["extractive_episodes"] = "extractive_episodes"
    max_chars: int = Field(default=600, ge=80)
    max_keywords: int = Field(default=8, ge=1)
    title_topics: int = Field(default=3, ge=0)
    title_chars: int = Field(default=72, ge=20)

    READS: ClassVar[tuple[str, ...]] = ("facts", "sessions")
    WRITES: ClassVar[tuple[str, ...]] = ("episodes",)
    KEY: ClassVar[Key] = Key.SESSION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Write an episode for every session of the call that has a fact."""
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in _COLUMNS}
        times = _times(need(tables, "sessions", self.operator))
        out: list[dict[str, Any]] = []
        for key, rows in groups(facts, (*SCOPE, "session_id"), FACT_ORDER).items():
            if key not in times:
                raise ValueError(f"facts of session {key[2]!r}, which is not in the table sessions")
            start, end = times[key]
            scope = dict(zip((*SCOPE, "session_id"), key, strict=True))
            out.append(
                {
                    **scope,
                    "episode_id": content_id("episode", *key),
                    "start_time": start,
                    "end_time": end,
                    "made_by": "extractive",
                    **self._retold(rows, column, models),
                }
            )
        counters = {"in": facts.num_rows, "out": facts.num_rows, "episodes": len(out)}
        return StepResult({"episodes": from_rows("episodes", out)}, counters)

    def _retold(self, rows: list[int], column: _Columns, models: Models) -> dict[str, Any]:
        """What is said of a session with these facts, given in event order."""
        people = Counter(column["speaker"][row] for row in rows)
        ranked = sorted(people, key=lambda name: (-people[name], name))
        known = name_words(ranked)
        said = {row: phrases(column["text"][row], known) for row in rows}
        found = best_terms(list(said.values()), known, self.max_keywords)
        telling = {row: text for row, text in said.items() if _tells(text, column, row)}
        content, chosen = self._content(telling or said, column, models)
        return {
            "title": title(ranked, found[: self.title_topics], content, self.title_chars),
            "content": content,
            "keywords": found,
            "source_message_ids": source_messages(chosen, rows, column),
        }

    def _content(
        self, said: dict[int, Phrases], column: _Columns, models: Models
    ) -> tuple[str, list[int]]:
        """The most central statements, and their rows; the first one, cut, if none fits."""
        first: dict[Sentence, int] = {}
        for row, text in said.items():
            # Keyword stems in place of all words: chit-chat is shared most, and says nothing.
            words = frozenset([word[0] for word in text if word is not BREAK])
            first.setdefault(Sentence(" ".join(column["text"][row].split()), words), row)
        summarizer = ExtractiveSummarizer(max_chars=self.max_chars)
        (summary,) = summarizer.summarize([list(first)], models)
        chosen = [first[line] for line in summary.sentences if line in first]
        return summary.text, chosen or [next(iter(said))]


def _tells(text: Phrases, column: _Columns, row: int) -> bool:
    important = column["importance"][row] >= _MIN_IMPORTANCE
    return important and len(text) - text.count(BREAK) >= _MIN_WORDS


def _times(sessions: Any) -> dict[tuple[str, ...], tuple[int, int]]:
    names = (*SCOPE, "session_id", "start_time", "end_time")
    rows = zip(*(values(sessions, name) for name in names), strict=True)
    return {(tenant, conversation, key): (a, b) for tenant, conversation, key, a, b in rows}
