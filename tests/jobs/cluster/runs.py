"""Builds on a cluster as child processes, as users start them; every embedding is counted."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from operators.embedding.journal import VectorJournal
from operators.embedding.model_id import DIMENSION, MODEL_ID
from tests.jobs.processes import REPO, Running, command
from tests.servers.ray_nodes import RayNodes
from transforms.warehouse.connection import JOURNAL_DIR

_POLL_SECONDS = 0.02


@contextmanager
def submitted(cluster: RayNodes, *arguments: object) -> Generator[Running]:
    """`memoryflow run ... --address`; the driver is killed at the end if it still runs."""
    process = subprocess.Popen(
        command(*arguments, "--address", cluster.address),
        cwd=REPO,
        env=cluster.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run = Running(process, secrets.token_hex(8))
    for stream, lines in ((process.stderr, run.lines), (process.stdout, run.stdout)):
        thread = Thread(target=lines.extend, args=(stream or (),), daemon=True)
        thread.start()
        run.readers.append(thread)
    try:
        yield run
    finally:
        # Only the driver: what runs on the nodes is theirs to end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


class EmbeddingsCounted:
    """Keeps a hard link to every journal of a warehouse: they outlive the run that drops them."""

    def __init__(self, warehouse: Path, kept: Path) -> None:
        self._journal = warehouse / JOURNAL_DIR / MODEL_ID
        self._kept = kept / MODEL_ID
        self._kept.mkdir(parents=True)
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "EmbeddingsCounted":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def times(self) -> Counter[str]:
        """How often each text has been embedded, by its hash."""
        records = VectorJournal(self._kept, "reader", DIMENSION).load()
        return Counter(text_hash for text_hash, _ in records)

    def twice(self) -> int:
        """Embeddings that had been paid for already."""
        return sum(count - 1 for count in self.times().values())

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            with contextlib.suppress(FileNotFoundError):
                for file in self._journal.glob("*.vectors"):
                    with contextlib.suppress(FileExistsError, FileNotFoundError):
                        os.link(file, self._kept / file.name)
