"""Prometheus metrics of a stream, served on loopback.

    memoryflow_messages_total             messages read
    memoryflow_commits_total              transactions
    memoryflow_dead_letters_total         lines of the log that could not be read
    memoryflow_step_computed_total        {step} keys that a step computed
    memoryflow_open_sessions              conversations with a session not closed yet
    memoryflow_in_flight_messages         read, not committed
    memoryflow_in_flight_bytes            the same as bytes
    memoryflow_backlog                    {source, partition} records or bytes not read yet
    memoryflow_watermark_timestamp_seconds  event time up to which sessions are closed
    memoryflow_freshness_seconds          {quantile} from reading to commit, last minute
    memoryflow_commit_seconds             {quantile} how long a commit takes, last minute
    memoryflow_source_up                  {source} 1, or 0 while it cannot be reached

Counters start at 0 with the process. What is not known (no message yet, no commit within the
last minute) is left out. `process_*` metrics of the driver are served beside them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.errors import UsageError
from jobs.observe.logs import say
from jobs.stream.report import StreamReport

if TYPE_CHECKING:
    from jobs.stream.pulse import Standing

HOST = "127.0.0.1"
"""Loopback only: a monitor elsewhere goes through a tunnel or an agent on this machine."""

_QUANTILES = {"p50": "0.5", "p95": "0.95"}


class Metrics(Collector):
    """What is scraped: one moment's numbers, replaced as a whole at every update.

    The stream's thread updates, the server's threads collect; a scrape never mixes two moments.
    """

    def __init__(self) -> None:
        self._families: tuple[Metric, ...] = ()
        self._sources: set[str] = set()
        self.port = 0

    def update(self, report: StreamReport, standing: "Standing") -> None:
        """The numbers from now on."""
        self._sources |= {source for source, _ in standing.backlog} | set(standing.troubles)
        self._families = (
            *_counters(report, standing),
            *_gauges(report, standing),
            _by_label(
                GaugeMetricFamily(
                    "memoryflow_source_up", "Whether the source can be reached.", labels=["source"]
                ),
                {name: float(name not in standing.troubles) for name in self._sources},
            ),
        )

    def collect(self) -> Iterable[Metric]:
        """The numbers of the last update; none before the first."""
        return self._families


def serve_metrics(port: int) -> Metrics:
    """Serve metrics at http://127.0.0.1:PORT/metrics from a thread of this process.

    Port 0 takes a free one; the address goes to stderr.

    Raises:
        UsageError: the port is taken, or not for this user.
    """
    registry = CollectorRegistry()
    metrics = Metrics()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    try:
        server, _ = start_http_server(port, HOST, registry)
    except OSError as error:
        raise UsageError(
            f"metrics cannot be served on {HOST}:{port} ({error.strerror}); "
            "give another --metrics-port, or 0 for a free one."
        ) from error
    metrics.port = server.server_port
    url = f"http://{HOST}:{metrics.port}/metrics"
    say("metrics.ready", f"memoryflow: metrics at {url}", url=url)
    return metrics


def _counters(report: StreamReport, standing: "Standing") -> Iterator[Metric]:
    yield CounterMetricFamily("memoryflow_messages", "Messages read.", report.messages)
    yield CounterMetricFamily("memoryflow_commits", "Transactions committed.", report.commits)
    yield CounterMetricFamily(
        "memoryflow_dead_letters", "Lines that could not be read.", standing.dead_letters
    )
    steps = CounterMetricFamily(
        "memoryflow_step_computed", "Keys computed by a step.", labels=["step"]
    )
    yield _by_label(
        steps, {step: c["computed"] for step, c in report.counters.items() if "computed" in c}
    )


def _gauges(report: StreamReport, standing: "Standing") -> Iterator[Metric]:
    for name, text, value in (
        ("open_sessions", "Conversations with an open session.", standing.open_sessions),
        ("in_flight_messages", "Messages read, not committed.", standing.in_flight_messages),
        ("in_flight_bytes", "Their size in bytes.", standing.in_flight_bytes),
    ):
        yield GaugeMetricFamily(f"memoryflow_{name}", text, value)
    if standing.watermark is not None:
        yield GaugeMetricFamily(
            "memoryflow_watermark_timestamp_seconds",
            "Event time up to which sessions are closed.",
            standing.watermark.timestamp(),
        )
    backlog = GaugeMetricFamily(
        "memoryflow_backlog",
        "Records or bytes that wait in a partition.",
        labels=["source", "partition"],
    )
    for (source, partition), size in sorted(standing.backlog.items()):
        backlog.add_metric([source, partition], size)
    yield backlog
    yield _quantiles("freshness", "From reading to commit, last minute.", report.freshness())
    yield _quantiles("commit", "Time a commit takes, last minute.", report.commit_seconds())


def _quantiles(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"memoryflow_{name}_seconds", text, labels=["quantile"])
    return _by_label(family, {_QUANTILES[key]: value for key, value in values.items()})


def _by_label(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]
) -> Metric:
    """`family` with one sample per value of its one label."""
    for label, value in sorted(values.items()):
        family.add_metric([label], value)
    return family
