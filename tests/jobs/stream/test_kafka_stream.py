"""Kafka's protocol, as librdkafka's mock cluster speaks it: the reader dies and starts again."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, sample_lines, shuffled
from tests.jobs.processes import RUN_SECONDS, running
from tests.jobs.stream.here import batch_here
from tests.servers.kafka_mock import PARTITIONS, KafkaMock

pytestmark = pytest.mark.slow

TOPIC, GROUP = "chat", "memoryflow"
TRIES = 5


def test_the_stream_dies_once(tmp_path: Path) -> None:
    lines = [json.dumps(line).encode() for line in shuffled(sample_lines(24, 2))]
    pipeline = pipeline_copy(
        tmp_path / "p.yaml",
        (r"slice_chars: \S+", "slice_chars: 1000"),
        (r"max_in_flight_mib: \S+", "max_in_flight_mib: 0.004"),
        (r"commit_interval: \S+", "commit_interval: 0.05s"),
        (r"early: \S+", "early: 0.05s"),
        (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
    )
    batch_here(tmp_path / "batch", lines, plan(pipeline))
    warehouse = tmp_path / "w"
    options = ["--until-idle", 2, "--workers", 1, "--verbose"]
    # Not every line in the partition of its conversation: order within one is not given.
    shares = [lines[number::PARTITIONS] for number in range(PARTITIONS)]
    with KafkaMock() as kafka:
        source = f"kafka://{kafka.address}/{TOPIC}"
        command = ["stream", pipeline, "--source", source, "-w", warehouse, *options]
        ends = killed_in_the_middle(kafka, command, shares)
        with running(*command) as stream:
            done = stream.finish()
        at_the_end = offsets(kafka)

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(tmp_path / "batch")
    assert at_the_end == ends


def killed_in_the_middle(
    kafka: KafkaMock, command: Sequence[object], shares: list[list[bytes]]
) -> list[int]:
    """Send everything, kill a stream over it; where each partition ends.

    Where this machine let the stream finish first, everything is sent once more, which changes
    no memory, and the next one is killed.
    """
    for tries in range(1, TRIES + 1):
        for number, share in enumerate(shares):
            for line in share:  # One by one, or a fetch brings them all at once.
                kafka.send(TOPIC, [line], number)
        with running(*command) as stream:
            stream.wait_for_line("^commit 2: snapshot|ended:", 2 * RUN_SECONDS)
            stream.kill()
        ends = [tries * len(share) for share in shares]
        if offsets(kafka) != ends:
            return ends
    raise AssertionError("always too late to test anything")


def offsets(kafka: KafkaMock) -> list[int]:
    return [kafka.committed(GROUP, TOPIC, number) for number in range(PARTITIONS)]
