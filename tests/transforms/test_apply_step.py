"""One step over a frame: reuse by stamp, isolation of failures, shared tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.llm.errors import ModelUnavailableError
from schemas.tables import TABLES
from transforms.apply_step import apply_step, failure_id
from transforms.frame import Frame


class Linker(Operator, frozen=True):
    """Links every message of a conversation to itself; chokes on the message 'boom'."""

    operator: Literal["linker"] = "linker"
    tag: str = "v1"
    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("links",)
    KEY: ClassVar[Key] = Key.CONVERSATION
    calls: ClassVar[list[int]] = []

    def run(self, tables: Tables, models: Models) -> StepResult:
        rows = tables["messages"].to_pylist()
        self.calls.append(len(rows))
        for row in rows:
            if row["text"] == "boom":
                raise ValueError("cannot read this")
            if row["text"] == "no model":
                raise ModelUnavailableError("gone")
        links = [
            {
                "tenant": row["tenant"],
                "conversation_id": row["conversation_id"],
                "link_id": f"{self.tag}-{row['conversation_id']}-{row['message_id']}",
                "type": "same",
                "source_id": row["message_id"],
                "target_id": row["message_id"],
                "score": 1.0,
                "method": "test",
                "step": "overwritten",
            }
            for row in rows
        ]
        table = pa.Table.from_pylist(links, schema=TABLES["links"].schema)
        return StepResult({"links": table}, {"in": len(rows), "out": len(rows)})


@dataclass(frozen=True)
class FakeStep:
    operator: Operator
    id: str = "link"
    chained_fingerprint: str = "f1"
    overwritten: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return self.operator.reads()

    @property
    def writes(self) -> tuple[str, ...]:
        return self.operator.WRITES

    @property
    def key(self) -> Key:
        return self.operator.KEY


class NoModels:
    def embed(self, texts: Sequence[str], model_id: str) -> Any:
        raise AssertionError("no model is needed here")

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        raise AssertionError("no model is needed here")


def frame_of(texts: dict[str, list[str]]) -> Frame:
    rows = [
        {
            "tenant": "t",
            "conversation_id": conversation,
            "message_id": f"m{index}",
            "content_hash": text,
            "revision": 0,
            "is_current": True,
            "conflict": False,
            "speaker": "S",
            "timestamp": 0,
            "seq": index,
            "text": text,
        }
        for conversation, lines in texts.items()
        for index, text in enumerate(lines)
    ]
    messages = pa.Table.from_pylist(rows, schema=TABLES["messages"].schema)
    hashes = {("t", c): "|".join(lines) for c, lines in texts.items()}
    return Frame({"messages": messages}, {}, {}, hashes)


def again(done: Frame) -> Frame:
    """The next run on the same messages, with what `done` left in the warehouse."""
    return Frame(
        {"messages": done.table("messages")},
        {name: table for name, table in done.tables.items() if name != "messages"},
        done.new_stamps,
        done.hashes,
    )


@pytest.fixture(autouse=True)
def _no_calls():
    Linker.calls.clear()


def link_ids(frame: Frame) -> set[str]:
    return set(frame.table("links")["link_id"].to_pylist())


def test_rows_of_a_step_carry_its_id():
    done = apply_step(FakeStep(Linker(), id="mine"), frame_of({"a": ["x"]}), NoModels())
    assert done.table("links")["step"].to_pylist() == ["mine"]


def test_an_unchanged_key_is_not_computed_again():
    step = FakeStep(Linker())
    first = apply_step(step, frame_of({"a": ["x"], "b": ["y"]}), NoModels())
    second = apply_step(step, again(first), NoModels())
    assert Linker.calls == [2]
    assert link_ids(second) == link_ids(first)
    assert second.counters["link"]["kept"] == 2


def test_only_the_changed_conversation_is_computed():
    step = FakeStep(Linker())
    first = apply_step(step, frame_of({"a": ["x"], "b": ["y"]}), NoModels())
    changed = frame_of({"a": ["x"], "b": ["y", "z"]})
    second = apply_step(
        step, replace(changed, existing=again(first).existing, stamps=first.new_stamps), NoModels()
    )
    assert Linker.calls == [2, 2]  # Both messages of b, none of a.
    assert link_ids(second) == {"v1-a-m0", "v1-b-m0", "v1-b-m1"}


def test_another_fingerprint_computes_everything():
    first = apply_step(FakeStep(Linker()), frame_of({"a": ["x"]}), NoModels())
    newer = FakeStep(Linker(tag="v2"), chained_fingerprint="f2")
    assert link_ids(apply_step(newer, again(first), NoModels())) == {"v2-a-m0"}


def test_two_steps_append_to_one_table_and_keep_apart():
    one, two = FakeStep(Linker(), id="one"), FakeStep(Linker(tag="w"), id="two")
    done = apply_step(two, apply_step(one, frame_of({"a": ["x"]}), NoModels()), NoModels())
    assert link_ids(done) == {"v1-a-m0", "w-a-m0"}
    renewed = FakeStep(Linker(tag="w2"), id="two", chained_fingerprint="f2")
    second = apply_step(renewed, apply_step(one, again(done), NoModels()), NoModels())
    assert link_ids(second) == {"v1-a-m0", "w2-a-m0"}


def test_a_failing_key_becomes_a_dead_letter_and_harms_no_other():
    done = apply_step(FakeStep(Linker()), frame_of({"a": ["x"], "b": ["boom"]}), NoModels())
    assert link_ids(done) == {"v1-a-m0"}
    (letter,) = done.dead_letters[0].to_pylist()
    assert letter["reason"] == "operator_error"
    assert "ValueError: cannot read this" in letter["detail"]
    assert letter["dead_letter_id"] == failure_id("link", "t", "b", "")


def test_a_failed_conversation_is_tried_again_by_every_step():
    first = apply_step(FakeStep(Linker()), frame_of({"b": ["boom"]}), NoModels())
    later = apply_step(FakeStep(Linker(tag="x"), id="later"), first, NoModels())
    assert not any(key[1] == "b" for key in later.new_stamps)


def test_a_missing_model_is_not_blamed_on_the_data():
    with pytest.raises(ModelUnavailableError):
        apply_step(FakeStep(Linker()), frame_of({"a": ["no model"]}), NoModels())
