"""The pure parts of the measurements at the simulated endpoint."""

from pathlib import Path

import pytest
import yaml

from benchmarks.llm.command import with_model
from benchmarks.llm.inputs import Message, one_conversation, written
from benchmarks.llm.peers import first_table
from benchmarks.llm.prediction import compared
from benchmarks.llm.text_table import Row, TextTable
from operators.parse.jsonl import parse_jsonl

_SHIPPED = Path("pipelines/conversation_memory_llm.yaml")


def _messages(conversation: str, day: int, count: int) -> list[Message]:
    return [
        {
            "conversation_id": conversation,
            "session_id": "s",
            "message_id": f"m{at}",
            "seq": at,
            "speaker": "Ana",
            "timestamp": f"2024-01-{day:02}T00:{at:02}:00+00:00",
            "text": f"{conversation} {at}",
        }
        for at in range(count)
    ]


def test_several_conversations_make_one() -> None:
    parts = [*_messages("a", 20, 3), *_messages("b", 1, 4)]
    joined = one_conversation(parts, 5)
    assert [message["text"] for message in joined] == ["a 0", "a 1", "a 2", "b 0", "b 1"]
    assert {message["conversation_id"] for message in joined} == {"joined"}
    assert len({message["message_id"] for message in joined}) == 5
    assert len({message["session_id"] for message in joined}) == 2
    assert [message["seq"] for message in joined] == list(range(5))
    times = [message["timestamp"] for message in joined]
    assert times[2:] == [
        "2024-01-20T00:02:00+00:00",
        "2024-01-21T00:02:00+00:00",
        "2024-01-21T00:03:00+00:00",
    ]


def test_a_longer_one_begins_like_a_shorter_one() -> None:
    parts = [*_messages("a", 20, 3), *_messages("b", 1, 4)]
    assert one_conversation(parts, 7)[:4] == one_conversation(parts, 4)


def test_too_few_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="3 messages"):
        one_conversation(_messages("a", 1, 3), 4)


def test_a_joined_log_can_be_read(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", one_conversation(_messages("a", 1, 3), 3))
    parsed = parse_jsonl(list(enumerate(log.read_bytes().splitlines(), 1)), str(log))
    assert parsed.messages.num_rows == 3


def test_the_model_of_a_pipeline_is_replaced_and_nothing_else() -> None:
    text = _SHIPPED.read_text()
    settings = {"model": "sim", "url": "http://127.0.0.1:1/v1", "timeout": "5s"}
    before, after = yaml.safe_load(text), yaml.safe_load(with_model(text, settings))
    llm = {"engine": "openai", **settings}
    assert after.pop("x-llm") == llm
    for old, new in zip(before.pop("steps"), after.pop("steps"), strict=True):
        parts = [new, *(part for part in new.values() if isinstance(part, dict))]
        assert all(part["llm"] == llm for part in parts if "llm" in part)
        assert list(old) == list(new)
    before.pop("x-llm")
    assert before == after


def test_a_pipeline_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="x-llm"):
        with_model("name: other\n", {})


def test_the_first_table_of_a_page() -> None:
    page = "# T\n\ntext\n\n| a | b |\n|---|---|\n| 1 | x, y |\n| 2 | |\n\n| c |\n|---|\n| 3 |\n"
    assert first_table(page) == [{"a": "1", "b": "x, y"}, {"a": "2", "b": ""}]
    assert first_table("no table") == []


def test_expected_and_recorded_calls_are_compared_by_step() -> None:
    expected: list[Row] = [
        {"step": "extract", "cost": "llm", "calls": 10, "tokens": 100},
        {"step": "embed", "cost": "embedding", "calls": 5, "tokens": 50},
        {"step": "tree", "cost": "llm", "calls": None, "tokens": None},
    ]
    recorded: dict[str, Row] = {
        "extract": {"calls": 20, "tokens": 50},
        "tree": {"calls": 3, "tokens": 9},
    }
    rows = {row["step"]: row for row in compared(expected, recorded)}
    assert (rows["extract"]["calls ratio"], rows["extract"]["tokens ratio"]) == (0.5, 2.0)
    assert (rows["embed"]["calls"], rows["embed"]["calls ratio"]) == (0, None)
    assert rows["tree"]["calls ratio"] is None
    assert (rows["all llm"]["calls expected"], rows["all llm"]["calls"]) == (10, 23)


def test_a_table_as_text() -> None:
    rows: list[Row] = [{"step": "a", "calls": 1234, "share": 0.5}, {"step": "total", "calls": 5}]
    assert TextTable("T", rows, ["note"]).text().splitlines() == [
        "T",
        "=",
        "step   calls  share",
        "a      1,234    0.5",
        "total      5",
        "note",
    ]
