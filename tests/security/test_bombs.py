"""Small input that would become large: it costs itself, in bounded time and memory."""

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from operators.parse import formats
from operators.parse.base import MAX_RAW_BYTES
from operators.parse.timestamps import TimestampError, epoch_timestamp
from pipelines.errors import PipelineError
from pipelines.load import SHIPPED, loads
from transforms.sources import files
from transforms.sources.errors import InputError
from transforms.sources.files import InputFile, read_blocks

MIB = 1024 * 1024
SHIPPED_TEXT = (SHIPPED / "conversation_memory.yaml").read_text()


def letters(path: Path, format_name: str = "jsonl") -> list[tuple[str, str]]:
    """Reason and detail of every dead letter; the counts must add up."""
    out: list[tuple[str, str]] = []
    for block in read_blocks(InputFile(str(path), path.stat().st_size), format_name):
        counts = block.counters
        assert counts["in"] == counts["out"] + counts["filtered"] + counts["dead_letters"]
        out += [(row["reason"], row["detail"]) for row in block.dead_letters.to_pylist()]
        assert all(len(row["raw"]) <= MAX_RAW_BYTES for row in block.dead_letters.to_pylist())
    return out


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("format_name", ["jsonl", "openai_chat"])
def test_an_archive_that_explodes_is_left(
    tmp_path: Path, pack: Callable[[bytes], bytes], format_name: str
) -> None:
    path = tmp_path / "bomb.jsonl"
    path.write_bytes(pack(b"\0" * (64 * MIB)))
    ((reason, detail),) = letters(path, format_name)
    assert reason == "corrupt_archive"
    assert "no log but a bomb" in detail


@pytest.mark.slow
def test_what_came_before_the_bomb_is_read(tmp_path: Path) -> None:
    good = {"conversation_id": "c", "message_id": "m", "speaker": "a", "text": "hi"}
    line = json.dumps(good | {"timestamp": "2024-01-01T00:00:00Z"}).encode() + b"\n"
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstandard.compress(line) + zstandard.compress(b"x" * (64 * MIB)))
    blocks = list(read_blocks(InputFile(str(path), 1)))
    assert sum(block.messages.num_rows for block in blocks) == 1
    assert sum(block.counters["dead_letters"] for block in blocks) == 1


@pytest.mark.slow
def test_many_small_members_are_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "members.jsonl.gz"
    path.write_bytes(gzip.compress(b"") * 60_000)
    started = time.process_time()
    assert letters(path) == []
    assert time.process_time() - started < 20


@pytest.mark.parametrize("number", ["1e999999999", "-1e999999", "9" * 100_000, "NaN", "Infinity"])
def test_a_number_is_not_written_out(number: str) -> None:
    with pytest.raises(TimestampError) as refused:
        epoch_timestamp(number)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("format_name", "item", "reasons"),
    [
        ("slack_export", {"ts": "1e999999999", "user": "u", "text": "x"}, ["bad_timestamp"]),
        ("locomo", {"sample_id": "a", "conversation": {"session_" + "9" * 5_000: [{}]}}, []),
        ("openai_chat", {"id": "x" * MIB, "messages": [{"a": i} for i in range(2_000)]},
         ["id_too_long"]),
        ("sharegpt", {"id": "x" * MIB, "conversations": [{"a": i} for i in range(2_000)]},
         ["id_too_long"]),
        ("longmemeval", {"question_id": "x" * MIB, "haystack_sessions": [[{}] * 2_000],
                         "haystack_dates": []}, ["id_too_long"]),
        ("locomo", {"sample_id": "x" * MIB, "conversation": {"session_1": [{}] * 2_000}},
         ["id_too_long"]),
        ("chatgpt_export", {"id": "x" * MIB, "mapping": {"a": {}}, "current_node": "a"},
         ["id_too_long"]),
    ],
)  # fmt: skip
def test_items_that_multiply(
    tmp_path: Path, format_name: str, item: object, reasons: list[str]
) -> None:
    """An id of a megabyte in each of thousands of dead letters would be gigabytes."""
    path = tmp_path / "2024-01-01.json"
    path.write_text(json.dumps([item]))
    found = letters(path, format_name)
    assert [reason for reason, _ in found] == reasons
    assert sum(len(detail) for _, detail in found) < 1_000


def test_an_item_has_so_many_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_ITEM_MESSAGES", 10)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"messages": [{"role": "system"}] * 50}))
    ((reason, detail),) = letters(path, "openai_chat")
    assert (reason, "more than 10 messages" in detail) == ("item_too_long", True)


def test_a_companion_fits_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_COMPANION_BYTES", 1_000)
    (tmp_path / "users.json").write_bytes(gzip.compress(b" " * 10_000))
    day = tmp_path / "general" / "2024-01-01.json"
    day.parent.mkdir()
    day.write_text("[]")
    with pytest.raises(InputError, match="too large"):
        letters(day, "slack_export")


def _nine(number: int) -> str:
    return ",".join([f"*a{number}"] * 9)


GROWING = [
    "x-a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"x-a{i}: &a{i} [{_nine(i - 1)}]\n" for i in range(1, 12)),
    "x-a0: &a0 {a: 1}\n"
    + "".join(f"x-a{i}: &a{i} {{<<: [{_nine(i - 1)}]}}\n" for i in range(1, 12)),
    "x-d: " + "[" * 1_200 + "]" * 1_200 + "\n",
]


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, marks=pytest.mark.slow) for text in GROWING),
        "x-a: &a [*a]\n",
        "x-a: &a {<<: *a}\n",
        "x-t: !!python/object/apply:os.system ['touch pwned']\n",
        "x-t: !include /etc/passwd\n",
        'x-t: "\\ud800"\n',
        '"x-\\ud800": 1\n',
        "x-i: " + "9" * 5_000 + "\n",
    ],
)
def test_pipelines_that_explode(text: str) -> None:
    with pytest.raises(PipelineError):
        loads(text + SHIPPED_TEXT, "p.yaml")


@pytest.mark.parametrize(
    "text",
    [
        'x-a: &a "{long}"\nx-b: [{aliases}]\n' + SHIPPED_TEXT.replace("{", "{{").replace("}", "}}"),
        'version: &a "{long}"\nname: *a\nsteps: [*a, {{id: *a, operator: *a}}]\n',
        'version: 1\nname: x\nsteps:\n- id: &a "{long}"\n- {{id: *a, operator: *a}}\n',
        "version: 1\n? {long}\n: 1\nsteps:\n- operator: gap_sessions\n  ? {long}\n  : 1\n",
    ],
)
def test_errors_of_pipelines_are_short(text: str) -> None:
    """A long value may be named, at each of its aliases, but not said again."""
    aliases = ", ".join(["*a"] * 2_500)
    with pytest.raises(PipelineError) as refused:
        loads(text.format(long="A" * 100_000, aliases=aliases), "p.yaml")
    assert len(str(refused.value)) < 6_000


@pytest.mark.parametrize("gap", ["9" * 20 + "d", "9" * 400 + "s", "999999d", "P999999D"])
def test_durations_end_before_the_calendar(gap: str) -> None:
    assert "gap: 6h" in SHIPPED_TEXT
    with pytest.raises(PipelineError, match=r"at most 36525 days|duration"):
        loads(SHIPPED_TEXT.replace("gap: 6h", f"gap: {gap}", 1), "p.yaml")
