"""Calls of a step: looked up, recorded, set aside; what an unanswered one leaves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.llm.ask import Question, ask
from operators.llm.call import Answer, Request
from operators.llm.errors import BudgetReachedError
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.llm.spec import AnyLlm
from pipelines.slice_changes import dead_letter_changes
from schemas.tables import TABLES
from tests.operators.llm.fakes import LLM
from transforms.apply_step import apply_step, failure_id
from transforms.call_ledger import CallLedger, model_letter_id
from transforms.frame import Frame


class Word(BaseModel):
    word: str = Field(max_length=20)


class Asks(Operator, LlmPart, frozen=True):
    """Asks for a word per message; links it where there is an answer."""

    operator: Literal["asks"] = "asks"
    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("links",)
    KEY: ClassVar[Key] = Key.CONVERSATION
    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (Prompt("extract_facts", Word, 10),)

    def run(self, tables: Tables, models: Models) -> StepResult:
        rows = tables["messages"].to_pylist()
        questions = [Question(r["tenant"], r["conversation_id"], r["text"]) for r in rows]
        words = ask(models, self.llm, self.PROMPTS[0], questions)
        links = [
            {
                **{"tenant": r["tenant"], "conversation_id": r["conversation_id"]},
                **{"link_id": f"l-{r['conversation_id']}-{r['message_id']}", "type": "same"},
                **{"source_id": r["message_id"], "target_id": "x", "score": 1.0},
                **{"method": word.word if word else "rules", "step": "asks"},
            }
            for r, word in zip(rows, words, strict=True)
        ]
        if any(r["text"] == "boom" for r in rows):
            raise ValueError("cannot go on")
        return StepResult({"links": pa.Table.from_pylist(links, schema=TABLES["links"].schema)})


@dataclass(frozen=True)
class AskStep:
    operator: Operator
    id: str = "ask"
    chained_fingerprint: str = "f1"
    overwritten: tuple[str, ...] = ()
    key: Key = Key.CONVERSATION

    @property
    def reads(self) -> tuple[str, ...]:
        return self.operator.reads()

    @property
    def writes(self) -> tuple[str, ...]:
        return self.operator.writes()


STEP = AskStep(Asks(llm=LLM))


class Engine:
    """Answers by the text of the question; counts what it is asked."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str], model_id: str) -> Any:
        raise AssertionError

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        raise AssertionError

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        text = request.turns[1][1]
        self.asked.append(text)
        if text == "silence":
            return Answer(request.call_id(LLM), "unanswered", "6 attempts failed")
        if text == "too dear":
            raise BudgetReachedError("no more")
        answer = self.answers.get(text, f'{{"word": "{text}"}}')
        return Answer(request.call_id(LLM), "ok", answer, 7, 3, 2, 11.0)


def frame_of(texts: dict[str, list[str]], done: Frame | None = None) -> Frame:
    rows = [
        {
            **{"tenant": "t", "conversation_id": c, "message_id": f"m{n}", "content_hash": text},
            **{"revision": 0, "is_current": True, "conflict": False, "speaker": "S", "seq": n},
            **{"timestamp": 0, "text": text},
        }
        for c, said in texts.items()
        for n, text in enumerate(said)
    ]
    table = pa.Table.from_pylist(rows, schema=TABLES["messages"].schema)
    frame = Frame({"messages": table}, {}, {}, {("t", c): str(said) for c, said in texts.items()})
    if done is None:
        return frame
    return replace(frame, existing=done.tables, stamps=done.new_stamps)


def methods(frame: Frame) -> dict[str, str]:
    return dict(
        zip(*(frame.table("links")[c].to_pylist() for c in ("link_id", "method")), strict=True)
    )


def test_calls_become_rows_of_artifacts() -> None:
    done = apply_step(STEP, frame_of({"c": ["one", "two"]}), Engine())
    rows = done.table("artifacts").to_pylist()
    assert [row["output"] for row in sorted(rows, key=lambda r: r["output"])] == [
        '{"word": "one"}',
        '{"word": "two"}',
    ]
    assert {row["step"] for row in rows} == {"ask"}
    assert {row["model_id"] for row in rows} == {"openai:simulated"}
    assert {(row["tokens_in"], row["tokens_out"], row["cached_tokens"]) for row in rows} == {
        (7, 3, 2)
    }
    assert done.counters["ask"]["calls"] == 2
    assert done.counters["ask"]["round_trips"] == 1


def test_a_recorded_answer_is_not_asked_for_again() -> None:
    done = apply_step(STEP, frame_of({"c": ["one", "two"]}), Engine())
    engine = Engine()
    again = apply_step(STEP, frame_of({"c": ["one", "two", "three"]}, done), engine)
    assert engine.asked == ["three"]
    assert again.table("artifacts").num_rows == 3
    assert again.counters["ask"]["answers_recorded"] == 2


def test_what_is_not_asked_any_more_is_no_artifact() -> None:
    done = apply_step(STEP, frame_of({"c": ["one", "two"]}), Engine())
    again = apply_step(STEP, frame_of({"c": ["two"]}, done), Engine())
    assert again.table("artifacts")["output"].to_pylist() == ['{"word": "two"}']


def test_the_same_words_in_two_conversations_are_one_call_and_two_rows() -> None:
    engine = Engine()
    done = apply_step(STEP, frame_of({"a": ["one"], "b": ["one"]}), engine)
    assert engine.asked == ["one"]
    rows = done.table("artifacts").to_pylist()
    assert [row["conversation_id"] for row in rows] == ["a", "b"]
    assert len({row["artifact_id"] for row in rows}) == 1


def test_an_unusable_answer_is_a_dead_letter_with_its_raw_text() -> None:
    done = apply_step(STEP, frame_of({"c": ["odd", "one"]}), Engine(odd="not JSON"))
    (letter,) = pa.concat_tables(done.dead_letters).to_pylist()
    assert letter["reason"] == "invalid_output" and letter["step"] == "ask"
    raw = json.loads(letter["raw"])
    assert raw["output"] == "not JSON" and raw["conversation_id"] == "c"
    assert methods(done) == {"l-c-m0": "rules", "l-c-m1": "one"}
    assert not done.broken  # The rules stand in: that is a result.
    # Both tries are recorded, so that neither is paid again.
    engine = Engine(odd="not JSON")
    again = apply_step(STEP, replace(frame_of({"c": ["odd", "one", "two"]}, done)), engine)
    assert engine.asked == ["two"]
    assert len(again.dead_letters) == 1


def test_an_outdated_letter_goes() -> None:
    done = apply_step(STEP, frame_of({"c": ["odd", "odd2"]}), Engine(odd="?", odd2="?"))
    letters = pa.concat_tables(done.dead_letters)["dead_letter_id"].to_pylist()
    assert letters == [model_letter_id("ask", "t", "c", "", n) for n in range(2)]
    again = apply_step(STEP, frame_of({"c": ["odd", "one"]}, done), Engine(odd="?"))
    change = dead_letter_changes(again, letters, TABLES["dead_letters"].empty(), [])
    assert change.deletes is not None and change.inserts is not None
    assert change.deletes["dead_letter_id"].to_pylist() == letters
    assert change.inserts["dead_letter_id"].to_pylist() == letters[:1]
    # What is not computed again keeps its letters.
    kept = apply_step(STEP, frame_of({"c": ["odd", "odd2"]}, done), Engine())
    change = dead_letter_changes(kept, letters, TABLES["dead_letters"].empty(), [])
    assert change.deletes is not None and change.deletes.num_rows == 0


def test_without_an_answer_the_rules_stand_in_until_the_next_run() -> None:
    done = apply_step(STEP, frame_of({"c": ["silence", "one"], "d": ["two"]}), Engine())
    assert methods(done) == {"l-c-m0": "rules", "l-c-m1": "one", "l-d-m0": "two"}
    (letter,) = pa.concat_tables(done.dead_letters).to_pylist()
    assert letter["reason"] == "no_answer"
    assert done.broken == {("t", "c")}
    assert [key[1] for key in done.new_stamps] == ["d"]
    engine = Engine()
    apply_step(STEP, frame_of({"c": ["silence", "one"], "d": ["two"]}, done), engine)
    assert engine.asked == ["silence"]


def test_a_used_up_budget_is_no_fault_of_the_data() -> None:
    with pytest.raises(BudgetReachedError):
        apply_step(STEP, frame_of({"c": ["too dear"]}), Engine())


def test_a_key_that_fails_leaves_its_calls_and_nothing_else() -> None:
    engine = Engine()
    done = apply_step(STEP, frame_of({"c": ["boom", "two"], "d": ["one"]}), engine)
    assert methods(done) == {"l-d-m0": "one"}
    assert done.broken == {("t", "c")}
    assert done.table("artifacts")["conversation_id"].to_pylist() == ["c", "c", "d"]
    # They are asked together; what was answered then is not asked again key by key.
    assert engine.asked == ["boom", "two", "one"]
    assert done.counters["ask"]["calls"] == 3
    mended = Engine()
    apply_step(STEP, frame_of({"c": ["boom", "two", "three"], "d": ["one"]}, done), mended)
    assert mended.asked == ["three"]


def test_a_step_that_fails_before_it_asks_keeps_what_it_had() -> None:
    done = apply_step(STEP, frame_of({"c": ["one"]}), Engine())
    failed = apply_step(replace(STEP, operator=FailsAtOnce(llm=LLM)), changed(done), Engine())
    assert failed.table("artifacts")["output"].to_pylist() == ['{"word": "one"}']
    mended = Engine()
    apply_step(STEP, frame_of({"c": ["one", "two"]}, failed), mended)
    assert mended.asked == ["two"]


def test_steps_behind_one_that_failed_keep_what_they_had() -> None:
    done = apply_step(STEP, frame_of({"c": ["one", "two"]}), Engine())
    behind = replace(frame_of({"c": ["one"]}, done), broken=frozenset({("t", "c")}))
    kept = apply_step(STEP, behind, Engine())
    assert kept.table("artifacts").num_rows == 2
    # Once all is well again, what is not asked for goes.
    well = apply_step(STEP, frame_of({"c": ["one"]}, kept), Engine())
    assert well.table("artifacts").num_rows == 1


class FailsAtOnce(Asks, frozen=True):
    """Raises before it has asked anything."""

    def run(self, tables: Tables, models: Models) -> StepResult:
        raise ValueError("a bug")


def changed(done: Frame) -> Frame:
    return frame_of({"c": ["one", "two"]}, done)


def test_an_answer_stands_in_whatever_session_it_was_given() -> None:
    """Two sessions that a late message makes one have other ids; their calls are the same."""
    ledger = CallLedger(Engine(), STEP, TABLES["artifacts"].empty())
    (answer,) = ledger.generate(LLM, [request_in("s1")])
    engine = Engine()
    later = CallLedger(engine, STEP, ledger.artifacts())
    assert later.generate(LLM, [request_in("s2")]) == [answer]
    assert engine.asked == []
    assert later.artifacts()["session_id"].to_pylist() == ["s2"]


def request_in(session: str) -> Request:
    turns = (("system", "Say something."), ("user", "one"))
    return Request("t", "c", session, "p@1:0", turns, "{}", 10)


def test_letters_of_all_sessions_of_a_conversation_are_told_anew() -> None:
    """A step over the conversation may ask session by session; sessions may be gone, too."""
    existing = {"sessions": sessions("s1", "s2")}
    frame = replace(frame_of({"c": ["one"]}), existing=existing)
    done = apply_step(STEP, frame, Engine())
    letters = [model_letter_id("ask", "t", "c", session, 0) for session in ("", "s1", "s2")]
    change = dead_letter_changes(done, letters, TABLES["dead_letters"].empty(), [])
    assert change.deletes is not None
    assert change.deletes["dead_letter_id"].to_pylist() == letters


def test_letters_of_a_failure_on_a_session_that_is_gone_go() -> None:
    frame = replace(frame_of({"c": ["one"]}), existing={"sessions": sessions("s1")})
    done = apply_step(STEP, frame, Engine())
    letters = [failure_id("ask", "t", "c", "s1")]
    change = dead_letter_changes(done, letters, TABLES["dead_letters"].empty(), [])
    assert change.deletes is not None
    assert change.deletes["dead_letter_id"].to_pylist() == letters


def sessions(*ids: str) -> pa.Table:
    rows = [
        {
            **{"tenant": "t", "conversation_id": "c", "session_id": i, "content_hash": i},
            **{"start_time": 0, "end_time": 0, "message_count": 1, "speakers": []},
            **{"first_message_id": "m0", "last_message_id": "m0"},
        }
        for i in ids
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["sessions"].schema)
