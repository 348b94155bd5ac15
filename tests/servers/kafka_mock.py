"""librdkafka's mock cluster: the Kafka protocol over loopback, without Kafka.

It makes topics of four partitions when they are produced to, keeps 5 MiB or 100,000 records of
a partition and then drops the oldest, answers a fetch with one produced batch of a partition,
and chooses its own port.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Iterable

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 4
_SECONDS = 60.0
_LOG = logging.getLogger(__name__)


def start_cluster() -> tuple[Producer, str]:
    """A cluster that lives as long as this producer, and its host:port."""
    owner = Producer({"test.mock.num.brokers": 1, "logger": _LOG})
    (broker,) = owner.list_topics(timeout=_SECONDS).brokers.values()
    return owner, f"{broker.host}:{broker.port}"


class KafkaMock:
    """A cluster in this process, and a producer to fill it."""

    def __init__(self) -> None:
        self._owner, self.address = start_cluster()
        self._producer = connect(self.address)

    def __enter__(self) -> "KafkaMock":
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush(5)

    def send(self, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        send(self._producer, topic, values, partition)

    def committed(self, group: str, topic: str, partition: int) -> int:
        """The group's offset as another client sees it."""
        other = Consumer({"bootstrap.servers": self.address, "group.id": group, "logger": _LOG})
        try:
            return other.committed([TopicPartition(topic, partition)], timeout=_SECONDS)[0].offset
        finally:
            other.close()


class KafkaChild:
    """A cluster in a process of its own, which can be frozen or killed."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the mock cluster did not start"
        self._producer = connect(self.address)

    def __enter__(self) -> "KafkaChild":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        send(self._producer, topic, values, partition)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=_SECONDS)


def connect(address: str) -> Producer:
    return Producer({"bootstrap.servers": address, "linger.ms": 5, "logger": _LOG})


def send(producer: Producer, topic: str, values: Iterable[bytes | None], partition: int) -> None:
    for value in values:
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(_SECONDS) == 0


def main() -> None:
    """Print the address and keep the cluster until the standard input ends."""
    owner, address = start_cluster()
    print(address, flush=True)
    sys.stdin.read()
    owner.flush(0)


if __name__ == "__main__":
    main()
