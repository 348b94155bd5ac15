"""An input larger than the object stores of all nodes: it is spilled, and nothing is lost."""

from pathlib import Path
from threading import Event, Thread

import pytest

from tests.jobs.builds import build_here, digest_at, rows_at, write_log
from tests.jobs.cluster.runs import submitted
from tests.jobs.cluster.texts import long_messages, sessions_only
from tests.servers.ray_nodes import ray_nodes

pytestmark = pytest.mark.slow

STORE_MIB = 76  # Ray takes no less.
MESSAGES = 1800  # 86 MB of text.


def test_more_input_than_object_store(tmp_path: Path, ray_here: None) -> None:
    log = write_log(tmp_path / "log.jsonl", long_messages(MESSAGES))
    pipeline = sessions_only(tmp_path / "p.yaml", slice_chars=2_000_000)
    there = ["run", pipeline, "--input", log, "--workers", 1]
    there += ["-w", tmp_path / "there", "--stage-mib", 1]
    with (
        ray_nodes(1, cpus=2, store_mib=STORE_MIB) as cluster,
        Spilled(cluster.session) as spilled,
        submitted(cluster, *there) as run,
    ):
        done = run.finish()
    assert done.code == 0, done.stderr
    assert spilled.seen
    assert len(rows_at(tmp_path / "there", "messages", "message_id")) == MESSAGES
    build_here(tmp_path / "here", log, pipeline=pipeline)
    assert digest_at(tmp_path / "there") == digest_at(tmp_path / "here")


class Spilled:
    """Whether a cluster has spilled objects, while it runs: they go with what they hold."""

    def __init__(self, session: Path) -> None:
        self._session = session
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.seen = False

    def __enter__(self) -> "Spilled":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def _watch(self) -> None:
        while not self.seen and not self._ended.wait(0.1):
            folders = self._session.glob("*spilled_objects*")
            self.seen = any(next(folder.iterdir(), None) for folder in folders)
