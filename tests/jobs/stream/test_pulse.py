import json
import os
import time
from pathlib import Path

import pytest

from jobs.stream.pulse import PULSE_FILE, Pulse, Standing
from tests.jobs.stream.pulses import STANDING, report


def content(folder: Path) -> dict[str, object]:
    return json.loads((folder / PULSE_FILE).read_text())


def test_says_where_the_stream_stands(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path, report(), None, quiet=True)
    pulse.started()
    pulse.beat(lambda: STANDING)

    found = content(tmp_path)

    assert found["state"] == "running"
    assert found["pid"] == os.getpid()
    assert found["watermark"] == "2024-03-01T12:00:00+00:00"
    assert found["backlog"] == {"chat 0": 11, "chat 1": 0, "redis talk": 5}
    assert found["troubles"] == {"redis": "connection refused"}
    assert found["freshness_seconds"] == {"p50": 1.0, "p95": 2.0}
    assert (found["messages"], found["commits"], found["dead_letters"]) == (100, 1, 2)


def test_asks_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pulse = Pulse(tmp_path, report(), None, quiet=True)
    asked: list[Standing] = []

    def standing() -> Standing:
        asked.append(STANDING)
        return STANDING

    for clock[0] in (100.0, 100.5, 100.9, 101.0):
        pulse.beat(standing)

    assert len(asked) == 2


def test_states(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pulse = Pulse(tmp_path, report(), None, quiet=False)
    pulse.waiting("another process is writing")
    assert content(tmp_path)["state"] == "waiting"
    pulse.beat(lambda: STANDING)
    assert content(tmp_path)["state"] == "running"
    pulse.ended(Standing())
    assert content(tmp_path)["state"] == "ended"

    said = capsys.readouterr().err
    assert "waiting: another process is writing" in said
    assert "16 waiting in the sources" in said
    assert "redis: connection refused" in said


@pytest.mark.parametrize("obstacle", ["no folder", "read-only folder", "folder in the way"])
def test_cannot_be_written(tmp_path: Path, obstacle: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "warehouse"
    if obstacle != "no folder":
        folder.mkdir()
    if obstacle == "folder in the way":
        (folder / PULSE_FILE / "full").mkdir(parents=True)
    if obstacle == "read-only folder":
        folder.chmod(0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")
    pulse = Pulse(folder, report(), None, quiet=True)

    pulse.started()
    pulse.beat(lambda: STANDING)
    pulse.ended(Standing())

    assert [r.levelname for r in caplog.records] == ["ERROR"], "said once, not every second"
    assert "out of date" in caplog.text
