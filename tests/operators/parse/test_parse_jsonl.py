import json
from datetime import UTC, datetime

import duckdb
import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.base import MAX_RAW_BYTES, Parsed, ParseLimits
from operators.parse.jsonl import NEEDS_CARE, fast_row, message_row, parse_jsonl
from operators.parse.record import Refusal, validate_record
from operators.parse.timestamps import TimestampError, epoch_timestamp, parse_timestamp
from schemas.ids import content_id
from schemas.message import Message
from schemas.tables import TABLES
from tests.effort import examples

GOOD = {
    "conversation_id": "c1",
    "message_id": "m1",
    "speaker": "Ana",
    "timestamp": "2024-05-31T18:00:00Z",
    "text": "We moved to Lisbon.",
}
LIMITS = ParseLimits(max_text_chars=50, max_line_bytes=4000)


def line(**changes: object) -> bytes:
    record = {k: v for k, v in {**GOOD, **changes}.items() if v is not ...}
    return json.dumps(record).encode()


def parse(*lines: bytes) -> Parsed:
    return parse_jsonl(enumerate(lines, 1), "in.jsonl", LIMITS)


def test_a_full_message_becomes_a_row_with_the_schema_of_the_table() -> None:
    raw = line(
        session_id="s",
        seq=-3,
        revision=2,
        role="user",
        tenant="t",
        attachments=[{"b": 1, "a": 2}],
        metadata={"z": None},
        timestamp="2024-05-31T18:00:00.123456789+02:00",
    )
    parsed = parse(raw)
    assert parsed.messages.schema.equals(TABLES["messages"].schema)
    (row,) = parsed.messages.to_pylist()
    assert row == {
        **{k: GOOD[k] for k in ("conversation_id", "message_id", "speaker", "text")},
        "tenant": "t",
        "content_hash": Message.model_validate_json(raw).content_hash(),
        "revision": 2,
        "is_current": True,
        "conflict": False,
        "role": "user",
        "timestamp": datetime(2024, 5, 31, 16, 0, 0, 123456, tzinfo=UTC),
        "seq": -3,
        "given_session_id": "s",
        "session_id": None,
        "attachments": '[{"a":2,"b":1}]',
        "metadata": '{"z":null}',
    }


def test_null_in_an_optional_field_means_not_given() -> None:
    nulls = dict.fromkeys(("session_id", "seq", "revision", "role", "tenant", "metadata"))
    assert parse(line(**nulls)).messages.equals(parse(line()).messages)


def test_counters_conserve_and_blank_lines_are_filtered() -> None:
    parsed = parse(line(), b"", b"  \r\n", b"{", line(text=5))
    assert parsed.counters == {
        "in": 5,
        "out": 1,
        "filtered": 2,
        "dead_letters": 2,
        "filtered.blank_line": 2,
        "dead_letters.not_json": 1,
        "dead_letters.wrong_type": 1,
    }


def test_bom_and_crlf_are_no_part_of_a_message() -> None:
    parsed = parse(b"\xef\xbb\xbf" + line() + b"\r\n", line(message_id="m2") + b"\r")
    assert parsed.counters["out"] == 2


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (b"{oops", "not_json", "write one JSON object a line"),
        (b'{"text": NaN}', "not_json", "write one JSON object a line"),
        (b'{"text": "\\ud800"}', "not_json", "surrogate"),
        (b"[" * 2000, "not_json", "write one JSON object"),
        (b"[1]", "not_an_object", "the line is an array, not a JSON object"),
        (b"7", "not_an_object", "the line is a int"),
        (line(text="x").replace(b'"x"', b'"\xff"'), "invalid_utf8", "save the file as UTF-8"),
        (line().decode().encode("utf-16"), "invalid_utf8", "save the file as UTF-8"),
        (line(speaker=...), "missing_field", 'speaker is missing: add "speaker" to the line'),
        (line(speaker=None), "wrong_type", "speaker: input should be a valid string"),
        (line(message_id=5), "wrong_type", "message_id: input should be a valid string"),
        (line(seq="5"), "wrong_type", "seq: input should be a valid integer"),
        (line(seq=5.0), "wrong_type", "seq: input should be a valid integer"),
        (line(seq=True), "wrong_type", "seq: input should be a valid integer"),
        (line(seq=2**63), "bad_value", "seq: input should be less than"),
        (line(revision=-1), "bad_value", "revision: input should be greater than"),
        (line(attachments={}), "wrong_type", "attachments: input should be a valid list"),
        (line(metadata=[]), "wrong_type", "metadata: input should be a valid dict"),
        (line(timestamp="yesterday"), "bad_timestamp", "write it like 2024-05-31T18:00:00Z"),
        (line(timestamp=1717178400), "wrong_type", "must be an RFC 3339 string"),
        (line(timestamp="2024-05-31T18:00:00"), "no_time_zone", "append Z for UTC"),
        (line(timestamp="2024-05-31"), "no_time_zone", "append Z for UTC"),
        (line(timestamp="2024-02-30T00:00:00Z"), "bad_timestamp", "not a time that exists"),
        (line(text="x" * 51), "text_too_long", "text has 51 characters, the limit is 50"),
        (line(message_id="x" * 513), "id_too_long", "longer than 512 characters: shorten it"),
        (line(speaker=""), "empty_field", "speaker is empty: give it a value"),
        (line(role=""), "empty_field", "role is empty"),
        (line(message_id="a\0"), "bad_value", "message_id contains U+0000: remove it"),
        (line(pad="x" * 4000), "line_too_long", "the limit is 4000"),
    ],
)
def test_every_reason_names_field_and_cure(raw: bytes, reason: str, detail: str) -> None:
    parsed = parse(raw)
    (dead,) = parsed.dead_letters.to_pylist()
    assert (dead["reason"], dead["step"], dead["source"]) == (reason, "read", "in.jsonl")
    assert detail in dead["detail"]
    assert dead["raw"] == raw
    assert dead["offset"] == 1
    assert dead["dead_letter_id"] == content_id("dead", "read", reason, raw)
    assert parsed.dead_letters.schema.equals(TABLES["dead_letters"].schema)


def test_all_bad_fields_are_named_and_the_first_gives_the_reason() -> None:
    (dead,) = parse(line(speaker=..., text=3)).dead_letters.to_pylist()
    assert dead["reason"] == "missing_field"
    assert "speaker is missing" in dead["detail"]
    assert "text: input" in dead["detail"]


def test_a_refused_line_keeps_its_tenant() -> None:
    tenants = parse(line(text=1, tenant="t"), line(text=2), b"{").dead_letters["tenant"]
    assert tenants.to_pylist() == ["t", "default", None]


def test_long_raw_is_cut_and_named_by_its_whole() -> None:
    limits = ParseLimits(max_line_bytes=100_000)
    bad = [b"{" + b"x" * (MAX_RAW_BYTES + n) for n in (5, 6)]
    parsed = parse_jsonl(enumerate(bad, 1), "f", limits)
    first, second = parsed.dead_letters.to_pylist()
    assert first["raw"] == second["raw"] == bad[0][:MAX_RAW_BYTES]
    assert first["dead_letter_id"] != second["dead_letter_id"]
    assert "raw holds the first 65536 of 65542 bytes" in first["detail"]


def test_the_same_bad_line_is_counted_twice_and_kept_once() -> None:
    parsed = parse(b"{", b"{")
    assert parsed.counters["dead_letters"] == 2
    assert parsed.dead_letters["offset"].to_pylist() == [1]


def test_deep_json_is_refused_at_the_same_depth_wherever_brackets_stand() -> None:
    def nested(depth: int) -> bytes:
        return line().replace(
            b'"text"', b'"attachments": %s%s, "text"' % (b"[" * depth, b"]" * depth)
        )

    assert parse(nested(120)).counters["out"] == 1
    (dead,) = parse(nested(200)).dead_letters.to_pylist()
    assert dead["reason"] == "bad_value"
    assert "attachments is nested deeper than 128 levels: flatten it" in dead["detail"]


def test_odd_values_survive_arrow_parquet_and_duckdb(tmp_path: object) -> None:
    raw = line(text="a\0b 𝄞 \x7f", metadata={"k": "\0", "big": 10**30, "e": 1e-7})
    parsed = parse(raw, b'{"text": "x", "text": "y",' + line(message_id="m2")[1:])
    assert parsed.counters["out"] == 2
    path = f"{tmp_path}/m.parquet"
    pq.write_table(parsed.messages, path)
    rows = duckdb.sql(f"SELECT text, metadata FROM '{path}' ORDER BY message_id").fetchall()
    assert rows[0][0] == "a\ufffdb 𝄞 \x7f"
    assert rows[0][1] == '{"big":1e+30,"e":1e-07,"k":"\\u0000"}'
    assert rows[1][0] == GOOD["text"]  # of equal keys the last counts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-31t18:00:00z", "2024-05-31T18:00:00+00:00"),
        ("2024-05-31 18:00:00-05:30", "2024-05-31T23:30:00+00:00"),
        ("2024-05-31T18:00:00-00:00", "2024-05-31T18:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_rfc3339(text: str, expected: str) -> None:
    assert parse_timestamp(text).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2024-05-31T23:59:60Z",
        "2024-05-31T24:00:00Z",
        "2024-05-31T18:00Z",
        "2024-05-31T18:00:00,5Z",
        "2024-05-31T18:00:00+0200",
        "20240531T180000Z",
        "2024-W22-5T18:00:00Z",
        "٢٠٢٤-05-31T18:00:00Z",
        "2024-05-31T18:00:00+24:00",
        "",
        "x" * 1000,
    ],
)
def test_not_rfc3339(text: str) -> None:
    with pytest.raises(TimestampError) as caught:
        parse_timestamp(text)
    assert caught.value.reason == "bad_timestamp"
    assert len(caught.value.detail) < 200


def test_epoch_times_are_exact() -> None:
    assert epoch_timestamp("1704067200.000100") == "2024-01-01T00:00:00.000100+00:00"
    assert epoch_timestamp(-1) == "1969-12-31T23:59:59+00:00"
    for bad in ("x", "nan", "inf", 1e300):
        with pytest.raises(TimestampError):
            epoch_timestamp(bad)


IDS = st.sampled_from(["", "a", "é", "x" * 512, "x" * 513, "a\0b"]) | st.text(max_size=5)
ODD = st.sampled_from([None, True, 0, -1, 1.5, 5.0, 2**31, 2**63, -(2**63), [], {}, "7", ...])
TIMES = st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat())
FIELDS = {
    "conversation_id": IDS,
    "message_id": IDS,
    "speaker": IDS,
    "timestamp": TIMES | st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01", "now"]),
    "text": st.text(max_size=60),
    "session_id": IDS,
    "seq": st.integers(),
    "revision": st.integers(),
    "role": IDS,
    "tenant": IDS,
    "attachments": st.lists(st.integers() | st.text(), max_size=2),
    "metadata": st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False), max_size=2),
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    """A good message with a few fields replaced by good, odd or missing values."""
    record: dict[str, object] = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=4, unique=True)):
        record[name] = draw(FIELDS[name] | FIELDS[name] | ODD)
    return {k: v for k, v in record.items() if v is not ...}


@given(records())
@examples(200)
def test_fast_path_and_model_agree(record: dict[str, object]) -> None:
    raw = json.dumps(record).encode()
    try:
        decoded = orjson.loads(raw)
    except orjson.JSONDecodeError:
        assert parse(raw).counters["dead_letters.not_json"] == 1
        return
    fast = fast_row(decoded, raw, LIMITS)
    model = validate_record(decoded, LIMITS)
    if isinstance(model, Refusal):
        assert fast is None
        return
    assert fast in (None, message_row(model))
    if not NEEDS_CARE.search(raw):
        assert fast is not None
    # What is stored is a message by the public model, with the same hash.
    (row,) = parse(raw).messages.to_pylist()
    row["session_id"] = row["given_session_id"]
    for name in ("attachments", "metadata"):
        row[name] = None if row[name] is None else json.loads(row[name])
    assert Message.model_validate(row).content_hash() == row["content_hash"]


@pytest.mark.parametrize("brace", ["{", "\\u007b"])
def test_words_that_the_catalog_would_fill_in_are_broken(brace: str) -> None:
    """In every string of a message, however it is written; the hash is that of what is stored."""
    word = f"{brace}DATA_PATH}}"
    told = GOOD | {"message_id": "@", "text": "say @", "tenant": "@", "role": "@"}
    raw = json.dumps(told | {"metadata": {"@": ["@ and {"]}}).replace("@", word)
    (row,) = parse(raw.encode()).messages.to_pylist()
    made = "{\u2060DATA_PATH}"
    assert (row["tenant"], row["role"], row["message_id"]) == (made, made, made)
    assert row["text"] == f"say {made}"
    assert json.loads(row["metadata"]) == {made: [f"{made} and {{"]}
    again = {"message_id": made, "text": row["text"], "tenant": made, "role": made}
    again |= {"metadata": json.loads(row["metadata"])}
    assert parse(json.dumps(GOOD | again).encode()).messages.to_pylist() == [row]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([line(), b"", b"null"]), max_size=8))
def test_any_bytes_are_accounted_for(lines: list[bytes]) -> None:
    counters = parse(*lines).counters
    assert counters["in"] == len(lines)
    assert counters["in"] == counters["out"] + counters["filtered"] + counters["dead_letters"]
