"""`--address`: the same build on a Ray that runs already, with our packages sent to it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.jobs.builds import build_here, digest_at, sample_lines, write_log
from tests.jobs.processes import REPO, RUN_SECONDS, cli, command

pytestmark = pytest.mark.slow


def test_a_build_on_a_running_ray_gives_the_same_memory(ray_here, tmp_path: Path):
    import ray

    log = write_log(tmp_path / "log.jsonl", sample_lines(per_log=10))
    build_here(tmp_path / "here", log)
    done = subprocess.run(
        command(
            *("run", "conversation_memory", "--input", log, "--warehouse", tmp_path / "there"),
            *("--workers", 1, "--address", ray.get_runtime_context().gcs_address),
        ),
        cwd=REPO,
        env=dict(os.environ),  # With this Ray's token.
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert digest_at(tmp_path / "there")["digest"] == digest_at(tmp_path / "here")["digest"]


def test_an_address_where_nothing_is_fails_with_advice(tmp_path: Path):
    log = write_log(tmp_path / "log.jsonl", sample_lines(per_log=2))
    done = cli(
        *("run", "conversation_memory", "--input", log, "--warehouse", tmp_path / "w"),
        *("--address", "127.0.0.1:1"),
    )
    assert done.code == 4
    assert "Check the address" in done.stderr
