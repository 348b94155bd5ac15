"""The contract's own format: JSON Lines, one message a line.

A line is decoded by orjson: strict UTF-8, no NaN, no lone surrogates, the last of equal
keys counts, integers beyond 64 bits become floats. A well-formed message then takes a
short path of plain type checks; everything else goes to `validate_record`, which decides
and explains. Cost: none. Deterministic. Errors: dead letters, never exceptions.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, cast

import orjson

from operators.parse.base import Parsed, ParseLimits
from operators.parse.record import (
    MAX_JSON_DEPTH,
    InputMessage,
    Refusal,
    validate_record,
)
from operators.parse.rows import MessageRow, RowCollector
from operators.parse.timestamps import EPOCH, TimestampError, parse_timestamp
from schemas.message import DEFAULT_TENANT, MAX_ID_CHARS, canonical_json, message_content_hash

DEFAULT_LIMITS = ParseLimits()
BOM = b"\xef\xbb\xbf"
_MICROSECOND = timedelta(microseconds=1)
_MIN_SEQ, _MAX_SEQ = -(2**63), 2**63
_MAX_REVISION = 2**31
# U+0000, and words that `inert` breaks, however they are written: for the slow path.
NEEDS_CARE = re.compile(rb"\\u00[0-7]|\{[A-Z]")


def parse_jsonl(
    lines: Iterable[tuple[int, bytes]], source: str, limits: ParseLimits = DEFAULT_LIMITS
) -> Parsed:
    """Messages and dead letters of numbered raw lines (numbers from 1, newline or not).

    Args:
        lines: line number and bytes.
        source: file or stream, kept with dead letters.
        limits: bounds on text and line.
    """
    collector = RowCollector(source)
    for number, raw in lines:
        add_line(collector, number, raw, limits)
    return collector.finish()


def add_line(collector: RowCollector, number: int, raw: bytes, limits: ParseLimits) -> None:
    """Parse one line into `collector`: a message, a dead letter or a skipped blank line."""
    line = raw.removesuffix(b"\n")
    if len(line) > limits.max_line_bytes:
        collector.refuse(number, line, "line_too_long", line_too_long(len(line), limits))
        return
    line = line.removesuffix(b"\r")
    if not line:
        collector.skip("blank_line")
        return
    if number == 1 and line.startswith(BOM):
        line = line[len(BOM) :]
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        add_undecodable(collector, number, line, error)
        return
    row = fast_row(record, line, limits)
    if row is None:
        result = _slow_row(record, limits)
        if isinstance(result, Refusal):
            collector.refuse(number, line, result.reason, result.detail, tenant_of(record))
            return
        row = result
    collector.accept(row)


def line_too_long(size: int, limits: ParseLimits) -> str:
    """The sentence for a line over the limit."""
    return (
        f"the line has {size} bytes, the limit is {limits.max_line_bytes}: "
        "check that there is one message a line"
    )


def tenant_of(record: object) -> str | None:
    """The tenant that a refused record belongs to, where it can be told."""
    if not isinstance(record, dict):
        return None
    tenant = record.get("tenant")
    if tenant is None:
        return DEFAULT_TENANT
    return tenant if isinstance(tenant, str) and 0 < len(tenant) <= MAX_ID_CHARS else None


def add_undecodable(
    collector: RowCollector, number: int, line: bytes, error: orjson.JSONDecodeError
) -> None:
    """Say why `line` is not JSON; a blank line is skipped."""
    if not line.strip():
        collector.skip("blank_line")
        return
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as bad:
        detail = f"byte {bad.start} of the line is not UTF-8: save the file as UTF-8"
        collector.refuse(number, line, "invalid_utf8", detail)
        return
    detail = f"not a JSON value ({error.msg}): write one JSON object a line"
    collector.refuse(number, line, "not_json", detail)


def _slow_row(record: object, limits: ParseLimits) -> MessageRow | Refusal:
    if not isinstance(record, dict):
        kind = "an array" if isinstance(record, list) else f"a {type(record).__name__}"
        detail = f"the line is {kind}, not a JSON object: write one message a line"
        return Refusal("not_an_object", detail)
    message = validate_record(record, limits)
    return message if isinstance(message, Refusal) else message_row(message)


def message_row(message: InputMessage) -> MessageRow:
    """The row of a validated message."""
    return (
        message.tenant,
        message.conversation_id,
        message.message_id,
        message.content_hash(),
        message.revision,
        message.speaker,
        message.role,
        (message.timestamp - EPOCH) // _MICROSECOND,
        message.seq,
        message.text,
        message.session_id,
        canonical_json(message.attachments),
        canonical_json(message.metadata),
    )


def fast_row(record: object, line: bytes, limits: ParseLimits) -> MessageRow | None:
    """The row of a plainly good message; None where `validate_record` has to decide."""
    if type(record) is not dict or NEEDS_CARE.search(line):
        return None
    get = cast("Callable[[str], Any]", record.get)
    conversation_id, message_id, speaker = (
        get("conversation_id"),
        get("message_id"),
        get("speaker"),
    )
    text, written_time = get("text"), get("timestamp")
    session_id, role, tenant = get("session_id"), get("role"), get("tenant")
    seq, revision = get("seq"), get("revision")
    attachments, metadata = get("attachments"), get("metadata")
    if tenant is None:
        tenant = DEFAULT_TENANT
    if seq is None:
        seq = 0
    if revision is None:
        revision = 0
    if not (
        type(conversation_id) is type(message_id) is type(speaker) is type(tenant) is str
        and type(text) is type(written_time) is str
        and type(seq) is type(revision) is int
        and 0 < len(conversation_id) <= MAX_ID_CHARS
        and 0 < len(message_id) <= MAX_ID_CHARS
        and 0 < len(speaker) <= MAX_ID_CHARS
        and 0 < len(tenant) <= MAX_ID_CHARS
        and len(text) <= limits.max_text_chars
        and _MIN_SEQ <= seq < _MAX_SEQ
        and 0 <= revision < _MAX_REVISION
        and (session_id is None or _is_identifier(session_id))
        and (role is None or _is_identifier(role))
        and (attachments is None or (type(attachments) is list and is_shallow(line)))
        and (metadata is None or (type(metadata) is dict and is_shallow(line)))
    ):
        return None
    try:
        timestamp = parse_timestamp(written_time)
    except TimestampError:
        return None
    attachments, metadata = canonical_json(attachments), canonical_json(metadata)
    content = message_content_hash(
        speaker=speaker,
        timestamp=timestamp,
        text=text,
        session_id=session_id,
        seq=seq,
        role=role,
        attachments=attachments,
        metadata=metadata,
    )
    since = timestamp - EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return (
        tenant,
        conversation_id,
        message_id,
        content,
        revision,
        speaker,
        role,
        micros,
        seq,
        text,
        session_id,
        attachments,
        metadata,
    )


def _is_identifier(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= MAX_ID_CHARS


def is_shallow(line: bytes) -> bool:
    """Whether the line has too few brackets to be nested too deep (cheap, one-sided)."""
    return line.count(b"[") + line.count(b"{") <= MAX_JSON_DEPTH
