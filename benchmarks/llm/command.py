"""`memoryflow` on the pipeline with a language model, as processes of their own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

NAME = "conversation_memory_llm"
_SHIPPED = Path("pipelines") / f"{NAME}.yaml"
_MODEL_BLOCK = re.compile(r"^x-llm: &llm\n(?: +.*\n)+", re.MULTILINE)
_BUILT = re.compile(r"built: .* in ([0-9.]+) s")
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Built:
    """A run to its end.

    Attributes:
        seconds: after start-up, as the run says itself; 0 where there was nothing to do.
        process_seconds: of the whole process.
        load: load average of the last minute, after it.
        report: of `--json`.
    """

    seconds: float
    process_seconds: float
    load: float
    report: dict[str, Any]

    @property
    def round_trips(self) -> int:
        """Rounds of calls that waited for each other, slices added up."""
        return sum(self.by_step("round_trips").values())

    def by_step(self, counter: str) -> dict[str, int]:
        """A counter of the run, by step."""
        counters: dict[str, dict[str, int]] = self.report.get("counters", {})
        return {step: counts[counter] for step, counts in counters.items() if counter in counts}


def run(log: Path, warehouse: Path, pipeline: Sequence[str]) -> Built:
    """`memoryflow run`, to its end.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        _command("run", log, warehouse, pipeline), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"run failed with {done.returncode}:\n{done.stderr}")
    built = _BUILT.search(done.stderr)
    inner = float(built.group(1)) if built else 0.0
    return Built(inner, seconds, os.getloadavg()[0], json.loads(done.stdout))


def run_and_kill(
    log: Path, warehouse: Path, pipeline: Sequence[str], now: Callable[[], bool]
) -> bool:
    """`memoryflow run`; it and all its children get SIGKILL once `now()`.

    Returns: whether it was killed, and had not ended before.
    """
    command = _command("run", log, warehouse, pipeline)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if now():
                _kill_all(process.pid)
                process.wait()
                return True
            time.sleep(_POLL_SECONDS)
    return False


def explained(log: Path, warehouse: Path, pipeline: Sequence[str]) -> dict[str, Any]:
    """`memoryflow explain --json` for an input, and for what is in a warehouse."""
    command = _command("explain", log, warehouse, pipeline)
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def shipped(url: str) -> list[str]:
    """Arguments for the pipeline as it is shipped, at an endpoint."""
    return [NAME, "--llm-url", url, "--llm-model", "sim"]


def changed(folder: Path, url: str, **settings: object) -> list[str]:
    """Arguments for a copy of the pipeline whose model has these settings, too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.yaml"
    path.write_text(with_model(_SHIPPED.read_text(), {"model": "sim", "url": url, **settings}))
    return [str(path)]


def with_model(pipeline: str, settings: Mapping[str, object]) -> str:
    """The text of a pipeline whose model is behind an endpoint.

    Raises:
        ValueError: the text has no block `x-llm: &llm`.
    """
    lines = [f"  {name}: {json.dumps(value)}\n" for name, value in settings.items()]
    block = "x-llm: &llm\n  engine: openai\n" + "".join(lines)
    text, found = _MODEL_BLOCK.subn(lambda _: block, pipeline)
    if found != 1:
        raise ValueError(f"{found} blocks `x-llm: &llm` in the pipeline, not one: {_SHIPPED}")
    return text


def _command(name: str, log: Path, warehouse: Path, pipeline: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "jobs.cli", name, *pipeline, "--json"]
    return [*command, "--input", str(log), "--warehouse", str(warehouse)]


def _kill_all(pid: int) -> None:
    """SIGKILL to a process and what it started: as if the machine had died."""
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
