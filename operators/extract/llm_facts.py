"""Facts by a language model: one question a cell, all cells at once, every fact checked."""

import re
from collections import Counter
from itertools import groupby
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.extract.found_facts import PortionReader, objection
from operators.extract.llm_output import FoundFacts
from operators.extract.portions import Portion, portions
from operators.extract.rows import Row, cells_of_messages, facts_table, key_of, ordered_messages
from operators.extract.rule_facts import RuleFacts
from operators.frames import need, values
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from schemas.ids import content_id

EXTRACT = Prompt("extract_facts", FoundFacts, max_tokens=1500)

_LINE = re.compile(r"^\[(\d+)\] ", re.MULTILINE)
_COUNTED = ("in", "found", "ungrounded", "repeated", "stand_ins", "empty_cells")
_SESSION = ("tenant", "conversation_id", "session_id")
_Rows = list[tuple[int, Row]]  # facts by the number of the piece they belong to


class LlmFacts(Operator, LlmPart, frozen=True):
    """Ask a model for the facts of each cell, and keep those that the cell bears out.

    Method: MemForest's parallel extraction from two-turn cells (arXiv 2605.23986), statements
    typed and dated absolutely after PREMem, and a check of every name, number and date against
    the source for the failure that HaluMem measures. A question holds the cell's messages as
    numbered lines under a header that all cells of the session share (one prefix, cached), and
    at most a sentence of the message before where the first line answers it or points at it.
    A cell with nothing but filler, by the rules, is not asked about.

    Input: `messages` (current, with `session_id`), `cells`.
    Output: `facts` as `rule_facts` makes them, with `topics` and `unsupported`. Where the model
    gives no usable answer, or nothing that can be kept, the facts of `rule_facts` for the same
    messages stand in, with extractor `rule_facts`.
    Errors: `ValueError` where a message is in no cell. Cost: LLM, one call a cell, all in one
    round trip; answers of a wrong form are asked for once more. Deterministic given the answers.

    Counters: `questions` asked, `found` facts in usable answers, `ungrounded` of them with a name,
    number or date that nothing shown holds, `repeated`, `stand_ins` (questions that the rules
    answer instead), `empty_cells` (answered: nothing to keep), `filler_cells` (not asked). The
    rate of grounded facts is 1 - ungrounded / found.

    Attributes:
        max_chars: most characters of messages in one question; a longer cell is asked about in
            several questions, a longer message is cut between sentences.
        context_chars: most characters of the message before a cell; 0 shows none of it.
        ungrounded: `drop` facts with a name, number or date that nothing shown holds, or `flag`
            them in `facts.unsupported`.
    """

    operator: Literal["llm_facts"] = "llm_facts"
    max_chars: int = Field(default=4000, ge=200)
    context_chars: int = Field(default=120, ge=0, le=1000)
    ungrounded: Literal["drop", "flag"] = "drop"

    READS: ClassVar[tuple[str, ...]] = ("messages", "cells")
    WRITES: ClassVar[tuple[str, ...]] = ("facts",)
    KEY: ClassVar[Key] = Key.SESSION
    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (EXTRACT,)

    def fingerprint_parameters(self) -> dict[str, Any]:
        """Also the version of the rules that stand in."""
        return super().fingerprint_parameters() | {"rule_facts": RuleFacts.VERSION}

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Extract the facts of all sessions of the call, in one round trip."""
        rows = ordered_messages(need(tables, "messages", self.operator))
        ruled = RuleFacts().run(tables, models).tables["facts"]
        asked = self._portions(rows, tables)
        rules = _RulesOf(_as_rows(ruled))
        counters: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
        worth = [p for p in asked if p.before_text or rules.of(p)]
        questions = [_question(portion) for portion in worth]
        answers = ask(models, self.llm, EXTRACT, questions, _objection)
        facts: list[Row] = []
        ordinals: Counter[tuple[str, str, str]] = Counter()
        for portion, answer in zip(worth, answers, strict=True):
            for piece, row in self._facts_of(portion, answer, rules, counters):
                facts.append(_numbered(row, portion.pieces[piece].row, ordinals))
        facts.sort(key=_order)
        kept = len(facts)
        dropped = counters["in"] - kept
        counters.update(
            {"out": kept, "filtered": dropped, "messages": len(rows), "questions": len(worth)}
        )
        counters["filler_cells"] = len(asked) - len(worth)
        return StepResult({"facts": facts_table(facts)}, dict(counters))

    def _portions(self, rows: list[Row], tables: Tables) -> list[Portion]:
        """All that is asked about, session by session."""
        cells = cells_of_messages(need(tables, "cells", self.operator))
        rows = sorted(rows, key=lambda row: tuple(row[name] for name in _SESSION))  # stable
        out: list[Portion] = []
        for _, group in groupby(rows, key=lambda row: tuple(row[name] for name in _SESSION)):
            session = list(group)
            cell_of = [cells[key_of(row)] for row in session]
            out += portions(
                session, cell_of, max_chars=self.max_chars, context_chars=self.context_chars
            )
        return out

    def _facts_of(
        self,
        portion: Portion,
        answer: FoundFacts | None,
        rules: "_RulesOf",
        counters: Counter[str],
    ) -> _Rows:
        """The facts of a portion, the model's or those that stand in."""
        if answer is not None:
            read = PortionReader(portion, keep_ungrounded=self.ungrounded == "flag").read(answer)
            counters.update(
                {"found": read.found, "ungrounded": read.ungrounded, "repeated": read.repeated}
            )
            counters["in"] += read.found
            if read.rows or not read.found:
                counters["empty_cells"] += not read.found
                return read.rows
        counters["stand_ins"] += 1
        standing_in = rules.of(portion)
        counters["in"] += len(standing_in)
        return standing_in


class _RulesOf:
    """The facts of the rules, by where they stand."""

    def __init__(self, facts: list[Row]) -> None:
        self._of: dict[tuple[str, str, str], list[Row]] = {}
        for fact in facts:
            self._of.setdefault(key_of(fact), []).append(fact)

    def of(self, portion: Portion) -> _Rows:
        """Those that begin inside a portion, in order."""
        return [
            (number, fact)
            for number, piece in enumerate(portion.pieces)
            for fact in self._of.get(key_of(piece.row), ())
            if piece.start <= fact["span_start"] < piece.end
        ]


def _as_rows(facts: pa.Table) -> list[Row]:
    """Rows with times as microseconds, as the other rows have them."""
    columns = {name: values(facts, name) for name in facts.schema.names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _question(portion: Portion) -> Question:
    row = portion.pieces[0].row
    return Question(row["tenant"], row["conversation_id"], portion.text, row["session_id"])


def _objection(question: Question, answer: FoundFacts) -> str | None:
    numbers = _LINE.findall(question.text)
    return objection(int(numbers[-1]), answer)


def _numbered(row: Row, message: Row, ordinals: Counter[tuple[str, str, str]]) -> Row:
    """The row with its place among the facts of its message, and the id that follows."""
    key = key_of(message)
    ordinal = ordinals[key]
    ordinals[key] += 1
    fact_id = content_id("fact", *key, message["content_hash"], ordinal)
    return {**row, "fact_id": fact_id, "ordinal": ordinal}


def _order(row: Row) -> tuple[Any, ...]:
    names = ("tenant", "conversation_id", "event_time", "seq", "message_id", "ordinal")
    return tuple(row[name] for name in names)
