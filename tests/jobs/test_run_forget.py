"""Invariant 5, end to end: forgotten equals never ingested, and nothing of it is left."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.jobs.builds import Lines, build_here, digest_at, sample_lines, shuffled, write_log
from tests.jobs.processes import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

# Words that no other message has; each is in texts, and so in facts, entities and summaries.
SECRET, TOPIC, PERSON = "Quaxolotry", "Velostrumpf", "Zdislava"
CANARIES = (SECRET, TOPIC, PERSON)


def spoken(conversation: str, message: str, speaker: str, minute: int, text: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "message_id": message,
        "speaker": speaker,
        "timestamp": f"2025-03-01T10:{minute:02}:00+01:00",
        "text": text,
    }


CLEAN = sample_lines(per_log=30, conversations_per_log=1)
ERASED: Lines = [
    spoken("friends-0", "secret-1", "Nora", 0, f"My locker at {SECRET} has the code 4711."),
    spoken(f"talk-{TOPIC}", "talk-1", "Marek", 1, f"We call the new project {TOPIC} from today."),
    spoken(f"talk-{TOPIC}", "talk-2", "Joon", 2, f"{TOPIC} needs two designers in Ghent."),
    spoken("team-0", "person-1", PERSON, 3, "I moved to Leuven last month and love the canals."),
    spoken("team-0", "person-2", "Marek", 4, f"Lunch with {PERSON} was great, she paints owls."),
    spoken("team-0", "person-3", "Marek", 5, f"{PERSON} paints owls in Leuven every Sunday."),
]
TARGETS: tuple[tuple[str, str, int], ...] = (
    ("--message", "secret-1", 1),
    ("--conversation", f"talk-{TOPIC}", 2),
    ("--person", PERSON, 3),
)
REFUSED = f"not JSON, {PERSON} wrote it"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    """`full` holds everything, `clean` never had what is going to be forgotten."""
    folder = tmp_path_factory.mktemp("forget")
    log = write_log(folder / "log.jsonl", [*CLEAN, *ERASED])
    log.write_text(log.read_text() + REFUSED + "\n")
    build_here(folder / "full", log)
    build_here(folder / "clean", write_log(folder / "clean.jsonl", CLEAN))
    return folder


def test_dry_run_changes_nothing(work: Path, tmp_path: Path) -> None:
    warehouse = Path(shutil.copytree(work / "full", tmp_path / "w"))
    before = digest_at(warehouse), data_files(warehouse)

    for option, value, messages in TARGETS:
        done = cli("forget", "-w", warehouse, option, value, "--dry-run", "--json")
        assert done.code == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["dry_run"], report["messages"]) == (True, messages)

    assert (digest_at(warehouse), data_files(warehouse)) == before


def test_forgotten_is_never_ingested(work: Path, tmp_path: Path) -> None:
    warehouse = Path(shutil.copytree(work / "full", tmp_path / "w"))
    for canary in CANARIES:  # The search below must be able to find something.
        assert leaks(warehouse, canary)

    for (option, value, messages), canary in zip(TARGETS, CANARIES, strict=True):
        done = cli("forget", "-w", warehouse, option, value, "--json")
        assert done.code == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["messages"] == messages
        assert report["dead_letters"] == (1 if canary == PERSON else 0)
        assert leaks(warehouse, canary) == []
    assert digest_at(warehouse) == digest_at(work / "clean")

    # The same lines once more, in a file that the ledger does not know.
    again = write_log(tmp_path / "again.jsonl", shuffled([*CLEAN, *ERASED]))
    again.write_text(again.read_text() + REFUSED + "\n")
    report = build_here(warehouse, again)

    assert report["counters"]["messages"]["erased"] == len(ERASED)
    assert report["counters"]["messages"]["new"] == 0
    assert digest_at(warehouse) == digest_at(work / "clean")
    assert [leaks(warehouse, canary) for canary in CANARIES] == [[], [], []]


def data_files(warehouse: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in warehouse.rglob("*.parquet")}


def leaks(warehouse: Path, needle: str) -> list[str]:
    """Files that hold the word: in their bytes, in hex, or in decoded Parquet columns."""
    plain, hexed = needle.lower().encode(), needle.encode().hex().encode()
    found: list[str] = []
    for file in (f for f in warehouse.rglob("*") if f.is_file()):
        data = file.read_bytes().lower()
        decoded = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else ""
        named = needle.lower() in str(file.relative_to(warehouse)).lower()
        if plain in data or hexed in data or needle.lower() in decoded.lower() or named:
            found.append(file.name)
    return found
