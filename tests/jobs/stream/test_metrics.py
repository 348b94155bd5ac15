import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.errors import UsageError
from jobs.stream.metrics import Metrics, serve_metrics
from jobs.stream.pulse import Pulse, Standing
from jobs.stream.report import StreamReport
from tests.jobs.stream.pulses import STANDING, WATERMARK, report

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def served() -> Metrics:
    return serve_metrics(0)


def scrape(metrics: Metrics) -> Samples:
    with urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("memoryflow_")
    }


def test_before_the_first_update(served: Metrics) -> None:
    with urlopen(f"http://127.0.0.1:{served.port}/metrics", timeout=10) as answer:
        assert answer.status == 200


def test_scrape(served: Metrics) -> None:
    served.update(report(), STANDING)

    assert scrape(served) == {
        ("memoryflow_messages_total", ()): 100,
        ("memoryflow_commits_total", ()): 1,
        ("memoryflow_dead_letters_total", ()): 2,
        ("memoryflow_step_computed_total", (("step", "facts"),)): 4,
        ("memoryflow_open_sessions", ()): 3,
        ("memoryflow_in_flight_messages", ()): 7,
        ("memoryflow_in_flight_bytes", ()): 2048,
        ("memoryflow_watermark_timestamp_seconds", ()): WATERMARK.timestamp(),
        ("memoryflow_backlog", (("partition", "0"), ("source", "chat"))): 11,
        ("memoryflow_backlog", (("partition", "1"), ("source", "chat"))): 0,
        ("memoryflow_backlog", (("partition", "talk"), ("source", "redis"))): 5,
        ("memoryflow_freshness_seconds", (("quantile", "0.5"),)): 1.0,
        ("memoryflow_freshness_seconds", (("quantile", "0.95"),)): 2.0,
        ("memoryflow_commit_seconds", (("quantile", "0.5"),)): 0.25,
        ("memoryflow_commit_seconds", (("quantile", "0.95"),)): 0.25,
        ("memoryflow_source_up", (("source", "chat"),)): 1,
        ("memoryflow_source_up", (("source", "redis"),)): 0,
    }


def test_what_is_gone_is_not_served(served: Metrics) -> None:
    counts = report()
    served.update(counts, STANDING)
    counts.read(20)
    served.update(counts, Standing(backlog={("chat", "1"): 0}))
    found = scrape(served)

    assert found["memoryflow_messages_total", ()] == 120
    assert [key for key in found if key[0] == "memoryflow_backlog"] == [
        ("memoryflow_backlog", (("partition", "1"), ("source", "chat")))
    ]
    assert ("memoryflow_watermark_timestamp_seconds", ()) not in found
    assert found["memoryflow_source_up", (("source", "redis"),)] == 1, "back again"


def test_nothing_committed_yet(served: Metrics) -> None:
    served.update(StreamReport(), Standing())
    names = {name for name, _ in scrape(served)}

    assert "memoryflow_freshness_seconds" not in names
    assert "memoryflow_messages_total" in names


def test_awkward_names(served: Metrics) -> None:
    name = 'a "quoted"\\path\nand more'
    served.update(StreamReport(), Standing(backlog={(name, "ü"): 1}))

    assert ("memoryflow_source_up", (("source", name),)) in scrape(served)


def test_pulse_feeds_it(served: Metrics, tmp_path: object) -> None:
    from pathlib import Path

    Pulse(Path(str(tmp_path)), report(), served, quiet=True).beat(lambda: STANDING)

    assert scrape(served)["memoryflow_open_sessions", ()] == 3


def test_loopback_only_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = serve_metrics(0)

    assert f"http://127.0.0.1:{metrics.port}/metrics" in capsys.readouterr().err
    with socket.socket() as other:  # A listener on all addresses would be in the way.
        other.bind(("127.0.0.2", metrics.port))


def test_port_in_use(served: Metrics) -> None:
    with pytest.raises(UsageError, match=f"{served.port}.*--metrics-port"):
        serve_metrics(served.port)
