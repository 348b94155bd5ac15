"""The input formats by name, as `--format` takes them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from operators.parse.base import (
    MAX_ITEM_MESSAGES,
    Adapter,
    AdapterOptions,
    Fields,
    FileContext,
    Parsed,
    ParseLimits,
    Record,
    Skipped,
    encode_json,
)
from operators.parse.chatgpt_export import ChatGPTExportAdapter
from operators.parse.jsonl import DEFAULT_LIMITS, add_line
from operators.parse.locomo import LoCoMoAdapter
from operators.parse.longmemeval import LongMemEvalAdapter
from operators.parse.openai_chat import OpenAIChatAdapter
from operators.parse.rows import RowCollector
from operators.parse.sharegpt import ShareGPTAdapter
from operators.parse.slack_export import COMPANIONS, SlackExportAdapter

MakeAdapter = Callable[[FileContext, AdapterOptions], Adapter]
_COMPRESSION = r"(\.gz|\.zst)?"


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: as written in `--format`.
        summary: one line for the help text.
        adapter: makes the adapter of a file; None where a line is a message itself.
        files: pattern of the file names that a folder of this format holds.
        companions: files in the folder above that the adapter wants to see.
    """

    name: str
    summary: str
    adapter: MakeAdapter | None
    files: re.Pattern[str]
    companions: tuple[str, ...] = ()


def _format(
    name: str,
    summary: str,
    adapter: MakeAdapter | None,
    files: str = r".*\.(jsonl|ndjson|json)",
    companions: tuple[str, ...] = (),
) -> Format:
    return Format(name, summary, adapter, re.compile(files + _COMPRESSION), companions)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        f.name: f
        for f in (
            _format("jsonl", "JSON Lines, one message a line (the contract)", None),
            _format(
                "openai_chat",
                "OpenAI chat logs: messages with role and content",
                lambda _, options: OpenAIChatAdapter(options),
            ),
            _format(
                "sharegpt",
                "ShareGPT: conversations with from and value",
                lambda _, options: ShareGPTAdapter(options),
            ),
            _format(
                "chatgpt_export",
                "ChatGPT data export: conversations.json",
                lambda _, options: ChatGPTExportAdapter(options),
                r"conversations.*\.json",
            ),
            _format(
                "slack_export",
                "Slack workspace export: a folder per channel, a file per day",
                lambda context, _: SlackExportAdapter.of_file(context),
                r"\d{4}-\d\d-\d\d\.json",
                COMPANIONS,
            ),
            _format(
                "locomo",
                "LoCoMo benchmark: locomo10.json",
                lambda _, options: LoCoMoAdapter(options),
            ),
            _format(
                "longmemeval",
                "LongMemEval benchmark: longmemeval_s.json",
                lambda _, options: LongMemEvalAdapter(options),
            ),
        )
    }
)


def parse_items(
    items: Iterable[tuple[int, object]],
    adapter: Adapter,
    source: str,
    limits: ParseLimits = DEFAULT_LIMITS,
) -> Parsed:
    """Messages and dead letters of decoded items, numbered from 1."""
    collector = RowCollector(source)
    for number, item in items:
        add_item(collector, number, item, adapter, limits)
    return collector.finish()


def add_item(
    collector: RowCollector, number: int, item: object, adapter: Adapter, limits: ParseLimits
) -> None:
    """Convert one item into `collector`; each message takes the path of a JSONL line.

    What an item holds beyond `MAX_ITEM_MESSAGES` is one dead letter.
    """
    for count, outcome in enumerate(adapter.convert(item)):
        if count == MAX_ITEM_MESSAGES:
            detail = f"the item has more than {count:,} messages, the rest was not read: split it"
            collector.refuse(number, b"", "item_too_long", detail)
            return
        if isinstance(outcome, Record):
            _add_record(collector, number, outcome.fields, limits)
        elif isinstance(outcome, Skipped):
            collector.skip(outcome.why)
        else:
            collector.refuse(number, encode_json(outcome.item), outcome.reason, outcome.detail)


def _add_record(collector: RowCollector, number: int, fields: Fields, limits: ParseLimits) -> None:
    line = encode_json(fields)
    if _has_lone_surrogate(fields):
        detail = "the message holds bytes that are not UTF-8, or half a surrogate pair: remove them"
        collector.refuse(number, line, "invalid_utf8", detail)
    else:
        add_line(collector, number, line, limits)


def _has_lone_surrogate(fields: Fields) -> bool:
    return any(isinstance(v, str) and not _encodable(v) for v in fields.values())


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
