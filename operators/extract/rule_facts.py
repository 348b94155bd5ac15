"""Facts by rule: self-contained, dated statements out of messages, without any model."""

import re
from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.extract.claims import part_window
from operators.extract.first_person import Voice
from operators.extract.noise import is_noise
from operators.extract.rows import (
    Row,
    cells_of_messages,
    facts_table,
    key_of,
    ordered_messages,
    people_of_sessions,
)
from operators.extract.sentences import split_units
from operators.extract.speakers import ROLES, called
from operators.extract.statement import Context, Statement, last_question, make_statement
from operators.extract.windows import Window, merge_units
from operators.frames import need
from schemas.ids import content_id

_DAY_MICROS = 86_400_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_SHORT_ANSWER_WORDS, _SHORT_ANSWER_CHARS = 4, 60
_WORD = re.compile(r"\w+")


class RuleFacts(Operator, frozen=True):
    """Cut messages into self-contained statements, typed, dated and judged by rule.

    Method: the zero-LLM mode of SuperLocalMemory (sentence windows, greeting filter, speaker
    for I/my, capitalised and quoted names, dates by rule, importance), statement types and
    absolutised dates of PREMem. All text but filler is covered by some statement, because
    statements are what is embedded and searched. A window whose clauses state several
    attributes is parted, since a fact holds one triple.

    Input: `messages` (current, with `session_id`), `cells`.
    Output: `facts`, status active, without canonical_id, validity or superseded_by.
    Errors: `ValueError` where a message is in no cell. Cost: none. Deterministic: a
    statement depends on its message, on the message before it in the session (a question, a
    month), and on who speaks in the session ("you" is the other one where there are two).

    Attributes:
        max_chars: longest window of several sentences.
        assistant_max_chars: the same for long answers and documents, which are many.
        document_chars: from this length on, any message counts as a document: "I" in it
            need not be the sender, so its wording is kept.
        min_words: sentences with fewer words are filler.
        resolve_dates: make relative dates absolute.
        rewrite_first_person: put names for I, my, you, your and name the speaker.
        answer_context: put the question before a short answer.
    """

    operator: Literal["rule_facts"] = "rule_facts"
    max_chars: int = Field(default=300, ge=40)
    assistant_max_chars: int = Field(default=500, ge=40)
    document_chars: int = Field(default=2000, ge=200)
    min_words: int = Field(default=1, ge=0)
    resolve_dates: bool = True
    rewrite_first_person: bool = True
    answer_context: bool = True

    READS: ClassVar[tuple[str, ...]] = ("messages", "cells")
    VERSION: ClassVar[int] = 3
    WRITES: ClassVar[tuple[str, ...]] = ("facts",)
    KEY: ClassVar[Key] = Key.SESSION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Extract the facts of all messages of the call."""
        del models
        rows = ordered_messages(need(tables, "messages", self.operator))
        cells = cells_of_messages(need(tables, "cells", self.operator))
        before: dict[tuple[str, str, str], Row] = {}
        people = people_of_sessions(rows)
        facts: list[Row] = []
        dropped = 0
        for row in rows:
            key = key_of(row)
            if key not in cells:
                raise ValueError(
                    f"message {key[2]!r} of {key[1]!r} is in no cell: run a cells step before"
                )
            session = (key[0], key[1], row["session_id"])
            context = self._context(row, before.get(session), people[session])
            before[session] = row
            statements, noise = self._statements(row["text"], context)
            dropped += noise
            for ordinal, (window, statement) in enumerate(statements):
                facts.append(
                    _fact(
                        row,
                        cell_id=cells[key],
                        ordinal=ordinal,
                        window=window,
                        said=statement,
                        context=context,
                    )
                )
        counters = {
            "in": len(facts) + dropped,
            "out": len(facts),
            "filtered": dropped,
            "messages": len(rows),
        }
        return StepResult({"facts": facts_table(facts)}, counters)

    def _context(self, row: Row, previous: Row | None, people: list[str]) -> Context:
        text, speaker = row["text"], row["speaker"]
        others = [p for p in people if p != speaker]
        # "you" said to an assistant is clear enough; its name would only dilute the text.
        addressee = called(others[0]) if len(people) == 2 else None
        answering = called(row["role"] or speaker) == "Assistant"
        asked = self._asked(row, previous)
        return Context(
            voice=Voice(called(speaker), None if addressee == "Assistant" else addressee),
            named=speaker.lower() not in ROLES,
            known=frozenset(p for p in people if p.lower() not in ROLES),
            base=date.fromordinal(_EPOCH_ORDINAL + row["timestamp"] // _DAY_MICROS),
            plain=len(text) > (self.assistant_max_chars if answering else self.document_chars),
            resolve_dates=self.resolve_dates,
            rewrite_first_person=self.rewrite_first_person,
            question=asked,
            question_source=(previous["message_id"],) if asked and previous else (),
            before=previous["text"] if previous else "",
        )

    def _asked(self, row: Row, previous: Row | None) -> str:
        """The question that a short answer answers, or ""."""
        text = row["text"]
        if not self.answer_context or previous is None or previous["speaker"] == row["speaker"]:
            return ""
        if len(text) > _SHORT_ANSWER_CHARS or "?" in text:
            return ""
        short = len(_WORD.findall(text)) <= _SHORT_ANSWER_WORDS
        return last_question(previous["text"]) if short else ""

    def _statements(
        self, text: str, context: Context
    ) -> tuple[list[tuple[Window, Statement]], int]:
        names = frozenset(w.lower() for name in context.known for w in _WORD.findall(name))
        limit = self.assistant_max_chars if context.plain else self.max_chars
        windows, dropped = merge_units(
            text, split_units(text), limit, lambda piece: is_noise(piece, names, self.min_words)
        )
        out: list[tuple[Window, Statement]] = []
        previous = ""
        if not context.plain:
            speaker, base = context.voice.speaker, context.base
            windows = [p for w in windows for p in part_window(text, w, speaker, base)]
        for window in windows:
            out.append((window, make_statement(text, window, context, previous)))
            last = window.units[-1]
            previous = text[last.start : last.end]
        return out, dropped


def _micros(day: date | None) -> int | None:
    return None if day is None else (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MICROS


def _fact(
    row: Row,
    *,
    cell_id: str,
    ordinal: int,
    window: Window,
    said: Statement,
    context: Context,
) -> Row:
    """A row of `facts`; a statement that quotes a question rests on that message too."""
    tenant, conversation, message_id = key_of(row)
    return {
        "tenant": tenant,
        "conversation_id": conversation,
        "session_id": row["session_id"],
        "cell_id": cell_id,
        "fact_id": content_id(
            "fact", tenant, conversation, message_id, row["content_hash"], ordinal
        ),
        "message_id": message_id,
        "source_message_ids": [message_id, *context.question_source],
        "span_start": window.start,
        "span_end": window.end,
        "ordinal": ordinal,
        "seq": row["seq"],
        "speaker": row["speaker"],
        "role": row["role"],
        "text": said.text,
        "kind": said.kind,
        "event_time": row["timestamp"],
        "occurred_start": _micros(said.first),
        "occurred_end": _micros(said.last),
        "time_text": said.time_text,
        "importance": said.importance,
        "entities": said.entities,
        "topics": [],
        "unsupported": [],
        "subject": said.triple.subject if said.triple else None,
        "attribute": said.triple.attribute if said.triple else None,
        "value": said.triple.value if said.triple else None,
        "extractor": "rule_facts",
        "status": "active",
    }
