"""Bad input: every refused line is kept with its reason, nothing vanishes, exit codes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.builds import SAMPLES, rows_at
from tests.jobs.processes import Finished, cli

pytestmark = pytest.mark.slow

BAD = SAMPLES / "bad_lines.jsonl"
REASONS = {"not_json", "missing_field", "wrong_type", "no_time_zone", "bad_timestamp"}


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """The bundled bad lines, twice over so that some repeat, from standard input."""
    warehouse = tmp_path_factory.mktemp("bad") / "w"
    lines = BAD.read_bytes()
    options = ["-w", warehouse, "--workers", 1, "--json"]
    done = cli("run", "conversation_memory", "--input", "-", *options, stdin=lines + lines)
    assert done.code == 0, done.stderr
    return warehouse, done


def test_dead_letters_have_reason_line_and_bytes(bad_run: tuple[Path, Finished]) -> None:
    warehouse, _ = bad_run
    letters = rows_at(warehouse, "dead_letters", "offset", "reason", "raw", "detail", "step")
    # Keys that occur in both copies are kept once, from the first.
    lines = BAD.read_bytes().split(b"\n")

    assert len({reason for _, reason, *_ in letters} & REASONS) >= 4
    for offset, _, raw, detail, step in letters:
        assert lines[offset - 1].removesuffix(b"\r") == raw.removesuffix(b"\r")
        assert detail
        assert step == "read"
    good = {m for (m,) in rows_at(warehouse, "messages", "message_id")}
    refused = {offset for offset, *_ in letters}
    for number, line in enumerate(lines, 1):
        if line.strip():
            assert (number in refused) != (_id_of(line) in good), line


def test_conservation(bad_run: tuple[Path, Finished]) -> None:
    counters = json.loads(bad_run[1].stdout)["counters"]
    read, messages = counters["read"], counters["messages"]

    assert read["in"] == read["out"] + read["filtered"] + read["dead_letters"]
    assert read["out"] == messages["in"]
    assert read["dead_letters"] > 0
    assert messages["in"] == messages["new"] + messages["repeated"] + messages["erased"]
    assert messages["repeated"] == messages["new"]
    for step in checked_steps(counters):
        counts = counters[step]
        assert counts["in"] == counts["out"] + counts.get("filtered", 0), step


def test_conservation_names_every_filter(bad_run: tuple[Path, Finished]) -> None:
    counters = json.loads(bad_run[1].stdout)["counters"]
    assert {"sessions", "cells", "extract", "deduplicate", "evolve"} <= set(checked_steps(counters))


def test_max_bad_stops_and_keeps_the_letters(tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    command = ["run", "conversation_memory", "--input", BAD, "-w", warehouse, "--max-bad", 3]

    done = cli(*command, "--workers", 1)

    assert done.code == 3
    assert "--max-bad 3" in done.stderr
    assert "Traceback" not in done.stderr
    query = "SELECT reason, count(*) AS n FROM dead_letters GROUP BY reason"
    table = cli("sql", query, "-w", warehouse, "--json")
    assert table.code == 0, table.stderr
    reasons = Counter({row["reason"]: row["n"] for row in rows_of(table.stdout)})
    assert sum(reasons.values()) > 3
    assert rows_at(warehouse, "messages", "message_id") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "conversation_memory", "--input", "{missing}", "-w", "{w}"], "nothing.jsonl"),
        (["run", "conversation_memory", "--input", "{empty}", "-w", "{w}"], "empty"),
        (["run", "{broken}", "--input", str(BAD), "-w", "{w}"], "broken.yaml:5:15"),
        (["run", "no_such_pipeline", "--input", str(BAD), "-w", "{w}"], "no_such_pipeline"),
        (["run", "conversation_memory", "--input", str(BAD), "--wokers", "2"], "--wokers"),
        (["run", "conversation_memory", "-w", "{w}"], "--input"),
        (["run", "conversation_memory", "--input", str(BAD), "--workers", "0"], "--workers"),
        (["run", "conversation_memory", "--input", str(BAD), "--format", "xml"], "xml"),
        (["run", "conversation_memory", "--input", str(BAD), "--start-time", "noon"], "noon"),
        (["rnu", "conversation_memory"], "rnu"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_usage_ends_with_2(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.yaml").write_text(
        "version: 1\nname: broken\nsteps:\n  - id: a\n    operator: gap_session\n"
    )
    places = {
        "missing": tmp_path / "nothing.jsonl",
        "empty": tmp_path / "empty",
        "broken": tmp_path / "broken.yaml",
        "w": tmp_path / "w",
    }

    done = cli(*(argument.format(**places) for argument in arguments))

    assert done.code == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("place", ["file", "foreign"])
def test_unusable_warehouse_ends_with_4(place: str, tmp_path: Path) -> None:
    if place == "file":  # Not a folder without rights: tests may run as root.
        (tmp_path / "file").write_text("not a folder")
        warehouse = tmp_path / "file" / "w"
    else:
        warehouse = tmp_path / "foreign"
        warehouse.mkdir()
        (warehouse / "holiday.txt").write_text("mine")

    done = cli("run", "conversation_memory", "--input", BAD, "-w", warehouse)

    assert done.code == 4, done.stderr
    assert str(warehouse) in done.stderr
    assert "Traceback" not in done.stderr
    assert place == "file" or [f.name for f in warehouse.iterdir()] == ["holiday.txt"]


def checked_steps(counters: dict[str, Any]) -> list[str]:
    """Steps that say how many rows came in and went out."""
    return [step for step, c in counters.items() if step != "read" and {"in", "out"} <= set(c)]


def rows_of(text: str) -> list[dict[str, Any]]:
    """JSON as one array or as a line per row."""
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line]


def _id_of(line: bytes) -> str | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("message_id") if isinstance(record, dict) else None
