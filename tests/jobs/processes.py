"""Runs the command line as a child process, and watches the processes it starts."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import psutil

REPO = Path(__file__).parents[2]
RUN_SECONDS = 600.0
"""For a whole command. Only what hangs takes so long: a busy machine may need minutes."""

END_SECONDS = 120.0
"""For what only has to end."""

_MARK = "MEMORYFLOW_TEST_RUN"
_KILLS = 3


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jobs.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Ours, without the settings by which this process's own Ray would show through."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def cli(*arguments: object, stdin: bytes = b"", timeout: float = RUN_SECONDS) -> Finished:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=REPO,
        env=environment(),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass
class Running:
    """A command under way, in a process group of its own."""

    process: subprocess.Popen[str]
    mark: str
    lines: list[str] = field(default_factory=list[str])
    stdout: list[str] = field(default_factory=list[str])
    readers: list[Thread] = field(default_factory=list[Thread])
    _seen: dict[tuple[int, float], psutil.Process] = field(
        default_factory=dict[tuple[int, float], psutil.Process]
    )

    def tree(self) -> list[psutil.Process]:
        """The command and all it has started that still runs, whatever its parent is now."""
        found = _tree(self.process.pid)
        sessions = {name for process in found for name in _ray_sessions(process)}
        found += [
            process
            for process in psutil.process_iter()
            if _has_mark(process, self.mark) or sessions & _ray_sessions(process)
        ]
        for process in found:
            with contextlib.suppress(psutil.Error):
                self._seen[process.pid, process.create_time()] = process
        return self.alive()

    def alive(self) -> list[psutil.Process]:
        """Processes seen so far that still run; zombies have ended."""
        return [p for p in self._seen.values() if _runs(p)]

    def titles(self) -> list[str]:
        """Command lines of all that still runs."""
        return [title for process in self.tree() if (title := _title(process).strip())]

    def wait_for_line(self, pattern: str, timeout: float = RUN_SECONDS) -> None:
        """Return once stderr has a line that matches."""
        wait_until(lambda: self.has_said(pattern) or self.ended, timeout, f"'{pattern}' on stderr")
        # What it said last may come after its end.
        for reader in self.readers if self.ended else []:
            reader.join(END_SECONDS)
        assert self.has_said(pattern), "".join(self.lines)

    def has_said(self, pattern: str) -> bool:
        """Whether stderr has a line that matches."""
        return any(re.search(pattern, line) for line in list(self.lines))

    def wait_for_child(self, pattern: str, timeout: float = RUN_SECONDS) -> psutil.Process:
        """A process of the run whose name or command line matches."""
        found: list[psutil.Process] = []

        def look() -> bool:
            found.extend(p for p in _tree(self.process.pid) if re.search(pattern, _called(p)))
            return bool(found) or self.ended

        wait_until(look, timeout, f"a process '{pattern}'", pause=0.005)
        assert found, "".join(self.lines)
        return found[0]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> bool:
        """SIGKILL to the driver alone: nobody can tidy up. False if it had ended before."""
        # It must not get any further while its children are looked for, which takes a while.
        self.process.send_signal(signal.SIGSTOP)
        self.tree()
        self.process.kill()
        return self.process.wait(END_SECONDS) == -signal.SIGKILL

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self, timeout: float = RUN_SECONDS) -> Finished:
        """Wait for the end."""
        code = self.process.wait(timeout)
        for reader in self.readers:
            reader.join(END_SECONDS)
        return Finished(code, "".join(self.stdout), "".join(self.lines))


@contextmanager
def running(*arguments: object) -> Iterator[Running]:
    """Start a command; at the end whatever is left of it is killed."""
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        command(*arguments),
        cwd=REPO,
        env=environment() | {_MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run = Running(process, mark)
    run.readers += [
        _collect(process.stderr, run.lines),
        _collect(process.stdout, run.stdout),
    ]
    try:
        yield run
    finally:
        for left in run.tree() if not run.ended else run.alive():
            with contextlib.suppress(psutil.Error):
                left.kill()
        process.wait(END_SECONDS)


@contextmanager
def killed(
    warehouse: Path,
    arguments: Sequence[object],
    reached: Callable[[Running], bool],
    unfinished: Callable[[], bool],
) -> Generator[Running]:
    """A command that is killed once `reached` says so, and `unfinished` still does after that.

    What it has started may live still. Where this process was held up so long that the command
    was done first, it is begun again from the warehouse as it was.
    """
    with TemporaryDirectory() as spare:
        before = Path(spare) / "before"
        if warehouse.exists():
            shutil.copytree(warehouse, before)
        for _ in range(_KILLS):
            with running(*arguments) as run:
                wait_until(lambda run=run: reached(run) or run.ended, RUN_SECONDS, "time to kill")
                if run.kill() and unfinished():
                    yield run
                    return
                assert run.process.returncode in (0, -signal.SIGKILL), "".join(run.lines)
            shutil.rmtree(warehouse)
            if before.exists():
                shutil.copytree(before, warehouse)
    raise AssertionError(f"it ended before it could be killed, {_KILLS} times")


def wait_until(
    condition: Callable[[], bool], timeout: float, what: str, pause: float = 0.02
) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout} s"
        time.sleep(pause)


def _collect(stream: Iterable[str] | None, lines: list[str]) -> Thread:
    # `extend` appends line by line, as they come.
    thread = Thread(target=lines.extend, args=(stream or (),), daemon=True)
    thread.start()
    return thread


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _called(process: psutil.Process) -> str:
    """Name and command line: a process may have given itself a name without touching the other."""
    try:
        return f"{process.name()} {_title(process)}"
    except psutil.Error:
        return ""


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _ray_sessions(process: psutil.Process) -> set[str]:
    return set(re.findall(r"session_\d{4}-\d\d-\d\d_[\d_-]+", _title(process)))


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark
    except (psutil.Error, OSError):
        return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
