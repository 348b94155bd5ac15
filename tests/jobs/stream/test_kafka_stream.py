"""Kafka's protocol, as librdkafka's mock cluster speaks it: the reader dies and starts again."""

import json
from pathlib import Path

import pytest

from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, sample_lines, shuffled
from tests.jobs.processes import running
from tests.jobs.stream.here import batch_here
from tests.jobs.stream.killing import kill_in_the_middle
from tests.servers.kafka_mock import PARTITIONS, KafkaMock

pytestmark = pytest.mark.slow

TOPIC, GROUP = "chat", "memoryflow"


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
    ends = [0] * PARTITIONS

    def send_all() -> None:
        for number, share in enumerate(shares):
            for line in share:  # One by one, or a fetch brings them all at once.
                kafka.send(TOPIC, [line], number)
            ends[number] += len(share)

    with KafkaMock() as kafka:
        send_all()
        source = f"kafka://{kafka.address}/{TOPIC}"
        command = ["stream", pipeline, "--source", source, "-w", warehouse, *options]
        kill_in_the_middle(command, "2: snapshot", lambda: offsets(kafka) != ends, send_all)
        with running(*command) as stream:
            done = stream.finish()
        at_the_end = offsets(kafka)

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(tmp_path / "batch")
    assert at_the_end == ends


def offsets(kafka: KafkaMock) -> list[int]:
    return [kafka.committed(GROUP, TOPIC, number) for number in range(PARTITIONS)]
