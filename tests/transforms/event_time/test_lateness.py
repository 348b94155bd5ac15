"""A too late message is kept as an input line that gives the very same message again."""

import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators.parse.jsonl import parse_jsonl
from operators.parse.timestamps import EPOCH
from transforms.event_time.lateness import TooLate, input_line, too_late_id, too_late_letters

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = TEXT.filter(lambda name: name and "\0" not in name)
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.fixed_dictionaries(
    {
        "conversation_id": NAMES,
        "message_id": NAMES,
        "speaker": NAMES,
        "timestamp": st.datetimes(
            datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)
        ).map(datetime.isoformat),
        "text": TEXT,
    },
    optional={
        "session_id": NAMES,
        "seq": st.integers(-(2**63), 2**63 - 1),
        "revision": st.integers(0, 2**31 - 1),
        "role": NAMES,
        "tenant": NAMES,
        "attachments": st.lists(JSON, max_size=3),
        "metadata": st.dictionaries(TEXT, JSON, max_size=3),
        "unknown": JSON,
    },
)
PLAIN = {
    "conversation_id": "walks",
    "message_id": "m1",
    "speaker": "Nora",
    "timestamp": "2025-03-10T10:00:00+01:00",
    "text": "I live in Porto now.",
}


def parsed(*lines: bytes):
    result = parse_jsonl(enumerate(lines, 1), "test")
    assert result.dead_letters.num_rows == 0, result.dead_letters.to_pylist()
    return result.messages


@given(MESSAGES)
@example({**PLAIN, "text": "a\0b\r\n\u2028\ufeff", "metadata": {"\0": [1e22, 10**20, -0.0]}})
@example({**PLAIN, "timestamp": "0001-01-02T00:00:00Z", "attachments": [], "metadata": {}})
def test_the_raw_bytes_give_the_same_row_again(message):
    rows = parsed(json.dumps(message, ensure_ascii=False).encode())
    letters = too_late_letters(TooLate(rows, [0], ["log"]))
    raw = letters["raw"][0].as_py()
    assert b"\n" not in raw
    assert parsed(raw).equals(rows)
    assert input_line(parsed(raw).to_pylist()[0]) == raw


def letter(**changes: object):
    rows = parsed(orjson.dumps({**PLAIN, **changes}))
    newest = (datetime(2025, 3, 20, 12, 30, tzinfo=UTC) - EPOCH).total_seconds() * 1_000_000
    return too_late_letters(TooLate(rows, [int(newest)], ["log"])).to_pylist()[0]


def test_a_letter_says_when_how_late_and_how_to_take_it_in():
    found = letter(tenant="acme")
    assert (found["step"], found["reason"]) == ("event_time", "too_late")
    assert (found["source"], found["offset"], found["tenant"]) == ("log", None, "acme")
    for part in (
        "2025-03-10T09:00:00Z",
        "2025-03-20T12:30:00Z",
        "10d 3h 30m late",
        "memoryflow sql",
        "memoryflow run",
    ):
        assert part in found["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "acme"},
        {"conversation_id": "work"},
        {"message_id": "m2"},
        {"text": "I live in Ghent now."},
        {"revision": 1},
    ],
    ids=str,
)
def test_every_version_has_a_letter_of_its_own(change):
    assert letter(**change)["dead_letter_id"] != letter()["dead_letter_id"]


def test_the_id_is_a_function_of_the_version_alone():
    row = parsed(orjson.dumps(PLAIN)).to_pylist()[0]
    expected = too_late_id("default", "walks", "m1", row["content_hash"])
    assert letter()["dead_letter_id"] == expected
    assert letter(revision=0, unknown=1)["dead_letter_id"] == expected


def test_no_messages_no_letters():
    assert too_late_letters(TooLate(parsed(), [], [])).num_rows == 0
