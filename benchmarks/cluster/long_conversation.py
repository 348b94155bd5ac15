"""Logs with a conversation of any length, of sentences that people and assistants wrote."""

import gzip
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

from operators.extract.sentences import PROSE, split_units

LONG = "long"
"""Id of the conversation that has its share of a skewed log."""

_SESSION, _OTHERS = 20, 200  # messages in a session, and in another conversation
_LEAST_WORDS, _MOST_CHARS = 4, 400
_START = datetime(2020, 1, 1, 9, tzinfo=UTC)
_SPEAKERS = ("Ann", "Ben")


def skewed_log(path: Path, data: Path, messages: int, share: float, seed: int = 7) -> Path:
    """Write a log of so many messages, of which one conversation has `share`, shuffled."""
    texts = sentences(data)
    long = int(messages * share)
    lines = list(conversation(LONG, list(islice(texts, long))))
    for number in range(0, messages - long, _OTHERS):
        size = min(_OTHERS, messages - long - number)
        lines += conversation(f"talk-{number:07}", list(islice(texts, size)))
    random.Random(seed).shuffle(lines)
    with path.open("w") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return path


def conversation(name: str, texts: Sequence[str]) -> Iterator[dict[str, str]]:
    """Two people in turn, twenty messages a day."""
    for number, text in enumerate(texts):
        day, minute = divmod(number, _SESSION)
        yield {
            "conversation_id": name,
            "message_id": f"{name}-{number:07}",
            "speaker": _SPEAKERS[number % 2],
            "timestamp": (_START + timedelta(days=day, minutes=minute)).isoformat(),
            "text": text,
        }


def sentences(data: Path) -> Iterator[str]:
    """Distinct sentences of the messages in a file or folder, then again with a number."""
    known = list(dict.fromkeys(_sentences(data)))
    if not known:
        raise ValueError(f"{data}: no messages; name a JSON Lines file or a folder with some")
    for turn in count(1):
        yield from known if turn == 1 else (f"{text} That was take {turn}." for text in known)


def _sentences(data: Path) -> Iterator[str]:
    paths = sorted(data.rglob("*.jsonl*")) if data.is_dir() else [data]
    for path in paths:
        if path.name.startswith("questions"):
            continue
        for line in _lines(path):
            said = json.loads(line).get("text", "")
            for kind, start, end in split_units(said):
                text = " ".join(said[start:end].split())
                if kind == PROSE and len(text) <= _MOST_CHARS and len(text.split()) >= _LEAST_WORDS:
                    yield text


def _lines(path: Path) -> Iterable[str]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as file:
            yield from file
    else:
        with path.open() as file:
            yield from file
