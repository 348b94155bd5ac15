"""Input of any kind: dead letters, never another exception; nothing lost, nothing made up."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.base import Parsed
from operators.parse.formats import FORMATS
from operators.parse.jsonl import parse_jsonl
from operators.parse.timestamps import TimestampError, epoch_timestamp, parse_timestamp
from tests.fuzz.effort import at_length, briefly
from tests.fuzz.values import NUMBERS, TEXT, TIMES, json_values
from transforms.sources.bytestreams import BrokenEnd, LongLine, iter_lines
from transforms.sources.files import InputFile, read_blocks

KEYS = [
    *("conversation_id", "message_id", "speaker", "timestamp", "text", "session_id", "seq"),
    *("revision", "role", "tenant", "attachments", "metadata", "id", "messages", "content"),
    *("conversations", "from", "value", "mapping", "current_node", "parent", "message", "author"),
    *("parts", "content_type", "create_time", "ts", "user", "subtype", "edited", "files", "title"),
    *("sample_id", "conversation", "session_1", "session_1_date_time", "dia_id", "blip_caption"),
    *("question_id", "haystack_sessions", "haystack_dates", "bot_profile", "name", "created"),
    "session_" + "9" * 5_000,
]
GOOD = {
    "conversation_id": "c",
    "message_id": "m",
    "speaker": "Ana",
    "timestamp": "2024-05-31T18:00:00Z",
    "text": "hello",
}
MESSAGES = st.one_of(
    json_values(KEYS),
    st.dictionaries(st.sampled_from(KEYS[:12]), st.one_of(TEXT, NUMBERS, TIMES)).map(
        lambda odd: GOOD | odd
    ),
)
LINES = st.lists(
    st.one_of(
        MESSAGES.map(lambda value: json.dumps(value).encode()),
        MESSAGES.map(
            lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        ),
        st.binary(max_size=60),
        st.just(b"[" * 2_000),
    ),
    max_size=6,
)


def assert_conserved(parsed: Parsed) -> None:
    counts = parsed.counters
    assert counts["in"] == counts["out"] + counts["filtered"] + counts["dead_letters"]
    assert parsed.messages.num_rows == counts["out"]
    assert parsed.dead_letters.num_rows <= counts["dead_letters"]
    for letter in parsed.dead_letters.to_pylist():
        assert letter["reason"]
        assert len(letter["detail"]) < 2_000


def check_lines(lines: list[bytes]) -> None:
    numbered = list(enumerate(lines, 1))
    first, again = parse_jsonl(numbered, "log"), parse_jsonl(numbered, "log")
    assert_conserved(first)
    assert first.counters["in"] == len(lines)
    assert first.messages.equals(again.messages)
    assert first.dead_letters.equals(again.dead_letters)
    # A dead letter is what came in: sent again it is the same dead letter, mended it gets in.
    raws = [row["raw"] for row in first.dead_letters.to_pylist()]
    resent = parse_jsonl(enumerate(raws, 2), "log")
    assert resent.messages.num_rows == 0
    known = set(first.dead_letters["dead_letter_id"].to_pylist())
    assert set(resent.dead_letters["dead_letter_id"].to_pylist()) <= known


@briefly(6)
@given(LINES)
def test_lines(lines: list[bytes]) -> None:
    check_lines(lines)


@at_length
@given(LINES)
def test_lines_at_length(lines: list[bytes]) -> None:
    check_lines(lines)


def check_format(folder: Path, name: str, value: Any, tail: bytes) -> None:
    file = folder / "2024-01-01.json"
    file.write_bytes(json.dumps(value).encode() + tail)
    source = InputFile(str(file), file.stat().st_size)
    blocks, again = list(read_blocks(source, name)), list(read_blocks(source, name))
    for block in blocks:
        assert_conserved(block)
    assert [b.counters for b in blocks] == [b.counters for b in again]
    assert all(a.messages.equals(b.messages) for a, b in zip(blocks, again, strict=True))


FOREIGN = sorted(name for name, known in FORMATS.items() if known.adapter is not None)
DOCUMENTS = st.one_of(MESSAGES, st.lists(MESSAGES, max_size=3))
TAILS = st.one_of(st.just(b""), st.binary(max_size=8))


@briefly(15)
@given(st.sampled_from(FOREIGN), DOCUMENTS, TAILS)
def test_documents(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: Any, tail: bytes
) -> None:
    check_format(tmp_path_factory.getbasetemp(), name, value, tail)


@at_length
@given(st.sampled_from(FOREIGN), DOCUMENTS, TAILS)
def test_documents_at_length(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: Any, tail: bytes
) -> None:
    check_format(tmp_path_factory.getbasetemp(), name, value, tail)


@briefly(20)
@given(st.one_of(TIMES.map(str), TEXT))
def test_times(text: str) -> None:
    for parse in (parse_timestamp, epoch_timestamp):
        try:
            found = parse(text)
        except TimestampError as error:
            assert error.reason in ("bad_timestamp", "no_time_zone")
            assert len(error.detail) < 300
        else:
            assert str(found)


@briefly()
@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 20), st.integers(1, 30))
def test_cutting_into_lines_loses_nothing(pieces: list[bytes], size: int, limit: int) -> None:
    """However the bytes arrive, the lines are those of the whole."""
    data = b"\n".join(pieces)
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    found: list[bytes] = []
    for line in iter_lines(chunks, limit):
        assert not isinstance(line, BrokenEnd)
        found.append(line.cut.head if isinstance(line, LongLine) else line[1])
    wanted = data.split(b"\n")
    assert found == (wanted if wanted[-1] else wanted[:-1])


ARCHIVE_SUFFIXES = (".jsonl.gz", ".jsonl.zst")


@briefly()
@given(st.binary(max_size=200), st.sampled_from(ARCHIVE_SUFFIXES), st.booleans())
def test_archives(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, suffix: str, magic: bool
) -> None:
    heads = {".jsonl.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\x03", ".jsonl.zst": b"\x28\xb5\x2f\xfd"}
    file = tmp_path_factory.getbasetemp() / f"noise{suffix}"
    file.write_bytes((heads[suffix] if magic else b"") + noise)
    for block in read_blocks(InputFile(str(file), 1)):
        assert_conserved(block)
