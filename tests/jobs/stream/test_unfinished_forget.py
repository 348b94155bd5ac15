"""A `forget` that was killed beside a stream is completed by the stream, which then goes on."""

import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from jobs.stream.pulse import Pulse
from jobs.stream.report import StreamReport
from jobs.stream.stream import Stream, StreamRequest
from tests.jobs.processes import REPO, RUN_SECONDS, environment, wait_until
from tests.jobs.stream.here import HereBuilders, append, batch_content, content_in, quick_plan
from tests.jobs.test_forget import leaks
from transforms.sources.live.open_source import open_live_source
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.erasure import PENDING_FILE

pytestmark = pytest.mark.slow  # Each is a whole stream beside other processes.

SECRET = "Quaxolotry"
TEXTS = (
    "I live in Porto now, close to the river.",
    f"My locker at {SECRET} has the code 4711.",
    "Lunch in Porto was great.",
    "I moved to Ghent last week.",
)
LINES = [
    orjson.dumps(
        {
            "conversation_id": "walks",
            "message_id": f"m{number}",
            "speaker": "Nora",
            "timestamp": f"2025-03-01T10:0{number}:00Z",
            "text": text,
        }
    )
    for number, text in enumerate(TEXTS, 1)
]
# Waits for the message, then forgets it, and dies between the transaction and the erasure.
_KILLED = """
import os, sys, time
import jobs.forget
from jobs.rebuild import rebuilder
from pathlib import Path
from pipelines.plan import plan
from transforms.warehouse.connection import open_warehouse
folder, pipeline = sys.argv[1], Path(sys.argv[2])
def there():
    with open_warehouse(folder, read_only=True, threads=1) as warehouse:
        return warehouse.rows("SELECT count(*) FROM messages")[0][0] == 3
while not there():
    time.sleep(0.1)
jobs.forget.erase_physically = lambda _: os._exit(9)
with open_warehouse(folder, threads=1, lock_timeout=60) as warehouse:
    jobs.forget.forget(warehouse, jobs.forget.Target("message", "m2"), rebuilder(plan(pipeline)))
"""
# Waits for the message, too: it must be reading before anybody forgets.
_READER = """
import sys, time
from transforms.warehouse.connection import open_warehouse
with open_warehouse(sys.argv[1], read_only=True, threads=1) as warehouse:
    while warehouse.rows("SELECT count(*) FROM messages")[0][0] != 3:
        time.sleep(0.1)
    warehouse.connection.execute("BEGIN")
    warehouse.connection.execute("FROM messages").fetchall()
    print("reading", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(code: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPO,
        env=environment() | {"PYTHONPATH": str(REPO)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def stream_beside(folder: Path, beside: Callable[[Path, Path], None], **streaming: str) -> None:
    """Stream three lines, call `beside`, stream the fourth; then check what there is."""
    using = quick_plan(folder, **streaming)
    log, report = folder / "log.jsonl", StreamReport()
    append(log, LINES[:3])
    with open_warehouse(folder / "w", threads=1) as opened, ThreadPoolExecutor(1) as pool:
        source = open_live_source(str(log))
        pulse = Pulse(opened.path, report, None, quiet=True)
        stream = Stream(opened, StreamRequest(using, [source], 1), report, pulse, HereBuilders)

        def meanwhile() -> None:
            try:
                beside(opened.path, folder / "pipeline.yaml")
                append(log, LINES[3:])
                wait_until(lambda: report.messages == len(LINES), RUN_SECONDS, "the last line")
            finally:
                stream.stop()

        stream.resume()
        done = pool.submit(meanwhile)
        try:
            stream.run()
        finally:
            source.close()
        done.result()
        assert content_in(opened) == batch_content([LINES[0], *LINES[2:]], using)
        assert leaks(opened.path, SECRET) == []


def is_forgotten(warehouse: Path) -> bool:
    return not (warehouse / PENDING_FILE).exists()


def test_at_the_end_of_its_turn(tmp_path: Path) -> None:
    def beside(warehouse: Path, pipeline: Path) -> None:
        with process(_KILLED, warehouse, pipeline) as killed:
            assert killed.wait(RUN_SECONDS) == 9
        wait_until(lambda: is_forgotten(warehouse), RUN_SECONDS, "the end of the erasure")

    stream_beside(tmp_path, beside)


def test_a_reader_in_the_way_does_not_end_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("transforms.warehouse.erasure._CHECKPOINT_WAIT_MS", 50)
    told: list[str] = []

    def is_told() -> bool:
        told.append(capsys.readouterr().err)
        return "a forget is not complete yet" in "".join(told)

    def beside(warehouse: Path, pipeline: Path) -> None:
        with process(_READER, warehouse) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
            with process(_KILLED, warehouse, pipeline) as killed:
                assert killed.wait(RUN_SECONDS) == 9
            wait_until(is_told, RUN_SECONDS, "what is in the way")
            assert not is_forgotten(warehouse)
            reader.communicate("")
        wait_until(lambda: is_forgotten(warehouse), RUN_SECONDS, "the end of the erasure")

    stream_beside(tmp_path, beside, housekeeping_interval="1s")
