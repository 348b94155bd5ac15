"""Generated logs: the same from the same seed, disordered as announced, and readable."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.conversations import CAP, sizes
from benchmarks.scale.generate import Log, append_session
from operators.parse.jsonl import parse_jsonl

LOG = Log(6_000, 7)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("log")
    LOG.write(out, files=2, processes=1)
    return out


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[bytes]:
    return [line for path in _parts(folder) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def rows(lines: list[bytes]) -> Rows:
    """What memoryflow makes of the lines."""
    return parse_jsonl(enumerate(lines, 1), "log").messages.to_pylist()


@pytest.mark.slow
def test_the_same_bytes_from_one_process_and_from_two(folder: Path, tmp_path: Path) -> None:
    LOG.write(tmp_path, files=2, processes=2)
    assert [p.read_bytes() for p in _parts(tmp_path)] == [p.read_bytes() for p in _parts(folder)]
    assert (tmp_path / "log.txt").read_text() == (folder / "log.txt").read_text()


@pytest.mark.parametrize("other", [Log(6_000, 8), Log(5_000, 7)])
def test_another_seed_or_size_is_another_log(other: Log, rows: Rows) -> None:
    mine, theirs = (log.conversation("c000003").later(1) for log in (LOG, other))
    assert [m["text"] for m in mine] != [m["text"] for m in theirs]


def test_it_holds_as_many_messages_as_asked_for(rows: Rows) -> None:
    assert len({row["message_id"] for row in rows}) == LOG.messages
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["conversation_id"], set()).add(row["message_id"])
    wanted = {c.conversation_id: c.size for c in LOG.conversations()}
    assert {name: len(ids) for name, ids in found.items()} == wanted


@pytest.mark.parametrize("messages", [1, 7, 10_000, 100_000, 1_000_000, 3_000_000])
def test_sizes_follow_zipf_up_to_a_cap(messages: int) -> None:
    found = sizes(messages)
    assert sum(found) == messages
    assert max(found) == found[0] <= CAP
    if messages >= 10_000:
        assert found[0] > 10 * found[len(found) // 2]
        assert min(found) >= 20


def test_lines_come_late_twice_corrected_and_broken(lines: list[bytes], rows: Rows) -> None:
    parsed = parse_jsonl(enumerate(lines, 1), "log")
    assert 0 < parsed.counters["dead_letters"] < 0.005 * LOG.messages
    times = [row["timestamp"] for row in rows]
    # Sessions overlap by minutes; a line that came late is hours or days behind.
    behind = sum(b < a - timedelta(hours=12) for a, b in pairwise(times))
    assert 0.005 < behind / LOG.messages < 0.04
    corrected = [row for row in rows if row["revision"] == 1]
    originals = {row["message_id"]: row for row in rows if row["revision"] == 0}
    assert 0.002 < len(corrected) / LOG.messages < 0.01
    assert all(originals[row["message_id"]]["text"] != row["text"] for row in corrected)
    repeats = len(lines) - parsed.counters["dead_letters"] - LOG.messages - len(corrected)
    assert 0.005 < repeats / LOG.messages < 0.02


def test_texts_are_as_long_as_in_chats_and_seldom_the_same(rows: Rows) -> None:
    texts = [row["text"] for row in rows]
    lengths = sorted(map(len, texts))
    assert 60 < lengths[len(lengths) // 2] < 120
    assert 200 < lengths[int(0.95 * len(lengths))] < 1_000
    assert len(set(texts)) > 0.75 * len(texts)
    assert not any("{" in text for text in texts)


def test_a_conversation_is_in_one_file(folder: Path) -> None:
    found = [
        {row["conversation_id"] for row in _messages(path.read_bytes().splitlines())}
        for path in _parts(folder)
    ]
    assert all(found)
    assert not found[0] & found[1]


def test_sessions_appended_later_go_on_where_the_log_ends(rows: Rows, tmp_path: Path) -> None:
    last = max(row["timestamp"] for row in rows if row["conversation_id"] == "c000002")
    for number in (1, 2):
        path = tmp_path / f"{number}.jsonl"
        count = append_session(LOG, "c000002", number, path)
        added = _messages(path.read_bytes().splitlines())
        times = [datetime.fromisoformat(row["timestamp"]) for row in added]
        assert len(added) == count >= 4
        assert {row["conversation_id"] for row in added} == {"c000002"}
        assert times == sorted(times)
        assert times[0] > last + timedelta(hours=1)
        last = times[-1]
    known = {row["message_id"] for row in rows}
    assert not known & {row["message_id"] for row in added}


def test_a_conversation_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no conversation 'c999999': they are c000001 to c000060"):
        LOG.conversation("c999999")


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.jsonl"))


def _messages(lines: list[bytes]) -> Rows:
    found: Rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "conversation_id" in row:
            found.append(row)
    return found
