"""The simulated endpoint as a child process."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

UNLIMITED = 10_000
"""Calls worked on at once that no measurement here reaches."""


@dataclass(frozen=True)
class Endpoint:
    """A simulator that listens at `url` (with `/v1`)."""

    url: str

    def stats(self) -> dict[str, Any]:
        """What it was asked so far; see `benchmarks.llm.accounting`."""
        with urlopen(self.url.removesuffix("/v1") + "/stats", timeout=60) as reply:
            return json.load(reply)


@contextmanager
def simulated(**options: float) -> Generator[Endpoint]:
    """Start `benchmarks.llm.simulator` with these options; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.llm.simulator"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Endpoint(json.loads(process.stdout.readline())["url"])
        finally:
            process.kill()
