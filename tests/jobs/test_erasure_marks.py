"""What was erased does not come back as a refused line, whatever it is refused for."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.erasure_marks import line_mark, without_erased
from operators.parse.base import MAX_RAW_BYTES, ParseLimits
from operators.parse.formats import FORMATS
from operators.parse.jsonl import parse_jsonl
from schemas.tombstones import dead_letter_tombstone, tombstone_id
from transforms.sources.files import expand_inputs, read_blocks

ERASED = frozenset({tombstone_id("default", "c1", "m1"), tombstone_id("acme", "c1", "m2")})
STRICT = ParseLimits(max_text_chars=5)


def message(name: str, **given: Any) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "message_id": name,
        "speaker": "Ann",
        "timestamp": "2025-01-01T10:00:00Z",
        "text": f"the text of {name}",
        **given,
    }


LOG = [
    message("m1"),
    message("m1", tenant=None),
    message("m1", tenant="acme"),
    message("m2"),
    message("m2", tenant="acme"),
    message("m1", conversation_id="c2"),
]
KEPT = [LOG[2], LOG[3], LOG[5]]


def refused(lines: Iterable[bytes], limits: ParseLimits = STRICT) -> pa.Table:
    return parse_jsonl(enumerate(lines, 1), "log", limits).dead_letters


def kept(letters: pa.Table) -> list[Any]:
    return [json.loads(raw) for raw in raws(without_erased(letters, ERASED))]


def raws(letters: pa.Table) -> list[bytes]:
    return [row["raw"] for row in letters.to_pylist()]


def marks(letters: pa.Table) -> set[str]:
    return {mark for raw in raws(letters) if (mark := line_mark(raw)) is not None}


def test_an_erased_message_under_a_smaller_limit() -> None:
    letters = refused(json.dumps(row).encode() for row in LOG)
    assert set(letters["reason"].to_pylist()) == {"text_too_long"}
    assert kept(letters) == KEPT
    assert without_erased(letters, frozenset()).equals(letters)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"jsonl"}))
def test_an_erased_message_in_a_log_of_another_format(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f"{json.dumps(row)}\n" for row in LOG))
    [file] = expand_inputs(str(log))
    letters = [block.dead_letters for block in read_blocks(file, format_name=name)]
    assert sum(table.num_rows for table in letters) == len(LOG)
    assert [row for table in letters for row in kept(table)] == KEPT


def test_the_head_of_an_erased_message_is_enough() -> None:
    """Of a long line and of one that the log ends in, the rest is not there."""
    long = "\u00e9\n" * MAX_RAW_BYTES
    line = json.dumps(message("m1", text=long)).encode()
    of_acme = json.dumps(message("m2", text=long, tenant="acme")).encode()  # Its tenant is cut off.
    by_text = refused([line, line[:200], of_acme])
    by_size = refused([b"\xef\xbb\xbf" + line, line], ParseLimits(max_line_bytes=150))
    for letters, count in ((by_text, 3), (by_size, 2)):
        assert letters.num_rows == count
        assert without_erased(letters, ERASED).num_rows == 0
    other = json.dumps(message("m3", text=long)).encode()
    assert without_erased(refused([other, other[:200]]), ERASED).num_rows == 2


@pytest.mark.parametrize(
    "line",
    [b'{"conversation_id": "c1", "message_id": 1}', b"[1", b"7", b'{"a": 1e400, "b', b'{"\\q": 1}'],
)
def test_lines_that_name_no_erased_message_are_kept(line: bytes) -> None:
    letters = refused([line, b'{"conversation_id": ["c1"], "message_id": "m1", "tenant": 7}'])
    assert without_erased(letters, ERASED).equals(letters)


def test_an_erased_line_under_another_reason() -> None:
    line = b'{"message_id": "m9", "text": "no conversation",  "n": 1}'
    before = refused([line, b"not JSON", b"\xff\xff"])
    lines = [line, b"not JSON\r", b"\xff\xff", b"another"]
    again = refused(lines, ParseLimits(max_line_bytes=1))
    assert set(again["reason"].to_pylist()) == {"line_too_long"}
    erased = marks(before)
    assert raws(without_erased(again, erased)) == [b"another"]
    in_another_format = json.dumps(json.loads(line), separators=(",", ":")).encode()
    assert marks(refused([in_another_format])) <= erased


def test_the_id_of_an_erased_letter_and_no_mark_of_nothing() -> None:
    letters = refused([b"not JSON", b"either"])
    first = str(letters["dead_letter_id"][0])
    left = without_erased(letters, {dead_letter_tombstone(first)})
    assert raws(left) == [b"either"]
    assert line_mark(b"") is line_mark(b" \n") is None
