from pathlib import Path

import pytest

from operators.parse.base import AdapterOptions, FileContext, Parsed
from operators.parse.documents import Item, iter_items
from operators.parse.formats import FORMATS, parse_items

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str, file: str) -> Parsed:
    data = (SAMPLES / file).read_bytes()
    context = FileContext(file)
    if name == "slack_export":
        companions = {p.name: p.read_bytes() for p in (SAMPLES / "slack_export").glob("*.json")}
        context = FileContext(file, companions)
    make = FORMATS[name].adapter
    assert make is not None
    values = [(i.number, i.value) for i in iter_items([data]) if isinstance(i, Item)]
    return parse_items(values, make(context, AdapterOptions()), file)


@pytest.mark.parametrize(
    ("name", "file", "out", "filtered"),
    [
        ("chatgpt_export", "chatgpt_export/conversations.json", 9, 9),
        ("slack_export", "slack_export/general/2025-02-03.json", 5, 1),
        ("slack_export", "slack_export/general/2025-02-04.json", 3, 0),
        ("slack_export", "slack_export/random/2025-02-04.json", 2, 0),
        ("locomo", "locomo.json", 8, 0),
        ("longmemeval", "longmemeval.json", 10, 0),
    ],
)
def test_samples(name: str, file: str, out: int, filtered: int) -> None:
    parsed = sample(name, file)
    assert parsed.counters["dead_letters"] == 0, parsed.dead_letters.to_pylist()
    assert (parsed.counters["out"], parsed.counters["filtered"]) == (out, filtered)


def test_sample_of_sharegpt_loses_its_broken_item_only() -> None:
    parsed = sample("sharegpt", "sharegpt.json")
    assert parsed.counters["out"] == 8
    assert parsed.counters["filtered.role_system"] == 1
    assert parsed.dead_letters["reason"].to_pylist() == ["wrong_type"]


def test_sample_of_locomo_has_the_ids_of_the_benchmark() -> None:
    row = sample("locomo", "locomo.json").messages.to_pylist()[3]
    assert row["message_id"] == "conv-x1/D1:4"
    assert row["given_session_id"] == "conv-x1/session_1"
    assert row["text"].endswith("[image: a photo of a yellow wooden beehive under an apple tree]")


def test_sample_of_longmemeval_has_the_ids_of_the_benchmark() -> None:
    row = sample("longmemeval", "longmemeval.json").messages.to_pylist()[2]
    assert row["conversation_id"] == "lme-garden01"
    assert row["given_session_id"] == "lme-garden01/s1"
    assert row["message_id"] == "lme-garden01/2"
