"""The scale benchmark on a log so small that it takes seconds: what it reports is so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale.build import mid_sized
from benchmarks.scale.generate import Log
from transforms.warehouse.connection import open_warehouse


@pytest.mark.parametrize("messages", [1_000, 10_000, 100_000, 1_000_000])
def test_sessions_are_appended_to_a_conversation_of_one_size(messages: int) -> None:
    assert 100 <= mid_sized(Log(messages, 7)).size <= 140


@pytest.mark.slow
def test_two_sizes_are_measured_and_plotted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scale.build", str(tmp_path / "out")]
    command += ["--messages", "400", "200", "--appends", "1", "--plot", str(tmp_path / "p.svg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)

    tables = [block.splitlines() for block in done.stdout.strip().split("\n\n")]
    assert [len(table) for table in tables] == [4, 4]
    assert [line.split()[1] for line in tables[0][2:]] == ["200", "400"]
    assert (tmp_path / "p.svg").read_text().count("<svg") == 1
    size = json.loads((tmp_path / "out" / "size-400.json").read_text())
    assert size["build"]["built"] < size["build"]["wall"]
    assert size["build"]["peak_mib"] > 200
    assert len(size["appends"]) == 1
    for append in size["appends"]:
        assert set(append["parts"]) == {"state", "read", "build", "commit", "end"}
        assert min(append["parts"].values()) >= 0
    name = mid_sized(Log(400, 7)).conversation_id
    with open_warehouse(tmp_path / "out" / "warehouse-400", read_only=True) as warehouse:
        ((runs,),) = warehouse.rows("SELECT count(*) FROM runs WHERE status = 'done'")
        ((models,),) = warehouse.rows("SELECT list(DISTINCT model_id) FROM embeddings")
        ((held, sessions),) = warehouse.rows(
            "SELECT count(*), count(DISTINCT session_id) FROM messages "
            f"WHERE is_current AND conversation_id = '{name}'"
        )
    assert runs == 2
    assert models == ["all-MiniLM-L6-v2-static@v1"]
    assert held > size["appended_to"] + 4 - 1
    assert sessions > 2

    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert again.stdout == done.stdout  # Kept, not measured anew.
