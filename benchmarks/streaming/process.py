"""`memoryflow stream` and `run` as processes of their own."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ENDED = re.compile(r"ended: .* last commit after ([0-9.]+) s")
_BUILT = re.compile(r"built: .* in ([0-9.]+) s")
PIPELINE = "conversation_memory"


@dataclass
class Streaming:
    """A stream under way."""

    process: "subprocess.Popen[str]"
    started: float
    lines: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def wait_for(self, pattern: str, timeout: float = 120.0) -> float:
        """Seconds from the start until stderr had a line that matches."""
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline:
            for moment, line in list(self.lines):
                if re.search(pattern, line):
                    return moment - self.started
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        last = "".join(line for _, line in self.lines[-20:])
        raise RuntimeError(f"no '{pattern}' on stderr:\n{last}")

    def finish(self) -> float:
        """Wait for the end; seconds from the engine's start to the last commit."""
        code = self.process.wait()
        time.sleep(0.2)
        err = "".join(line for _, line in self.lines)
        if code != 0:
            raise RuntimeError(f"stream failed with {code}:\n{err}")
        ended = _ENDED.search(err)
        assert ended is not None, err
        return float(ended.group(1))

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def streaming(
    source: Path, warehouse: Path, *extra: str, pipeline: str | Path = PIPELINE
) -> Generator[Streaming]:
    """Start `memoryflow stream`; it is killed if it still runs at the end."""
    command = [sys.executable, "-m", "jobs.cli", "stream", str(pipeline)]
    command += ["--source", str(source), "--warehouse", str(warehouse), "--verbose", *extra]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    stream = Streaming(process, started)

    def collect() -> None:
        for line in process.stderr or ():
            stream.lines.append((time.perf_counter(), line))

    threading.Thread(target=collect, daemon=True).start()
    try:
        yield stream
    finally:
        if process.poll() is None:
            stream.kill()


def batch(path: Path, warehouse: Path, extra: Sequence[str] = ()) -> float:
    """`memoryflow run`; seconds after the engine's start."""
    command = [sys.executable, "-m", "jobs.cli", "run", PIPELINE]
    command += ["--input", str(path), "--warehouse", str(warehouse), *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"run failed with {done.returncode}:\n{done.stderr}")
    built = _BUILT.search(done.stderr)
    assert built is not None, done.stderr
    return float(built.group(1))


def digest(warehouse: Path) -> Any:
    """`memoryflow digest`."""
    command = [sys.executable, "-m", "jobs.cli", "digest", "--warehouse", str(warehouse)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
