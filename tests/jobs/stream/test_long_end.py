"""A stream that builds for long at its end is not taken for one that hangs."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from jobs.stream import pulse
from jobs.stream.builders import Counters
from jobs.stream.workers import Piece
from tests.jobs.builds import sample_lines
from tests.jobs.stream.here import HereBuilders, append, quick_plan, stream_in
from transforms.diff import ChangeSet
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow  # A whole stream.

LINES = [orjson.dumps(line) for line in sample_lines(2, 1)]


def test_it_says_so_while_it_waits_for_its_builders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_BEAT_SECONDS", 0.0)
    said: list[str] = []

    class Slow(HereBuilders):
        def finished(
            self, timeout: float
        ) -> Iterator[tuple[Piece, Counters, tuple[ChangeSet, ...]]]:
            if self.busy:
                said.append(orjson.loads((tmp_path / "w" / pulse.PULSE_FILE).read_bytes())["at"])
            if len(said) > 3:
                yield from super().finished(timeout)

    append(tmp_path / "log.jsonl", LINES)
    # Without early firing, everything is built once the source has ended.
    using = quick_plan(tmp_path, early="null")
    with open_warehouse(tmp_path / "w", threads=1) as opened:
        stream_in(opened, [str(tmp_path / "log.jsonl")], using, 0.1, Slow)

    assert len(said) > 3
    assert len(set(said)) == len(said)
