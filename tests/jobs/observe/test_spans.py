"""Spans: none unless the environment asks for them, and then of every part of a run."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobs.batch.progress import Progress
from jobs.observe.current import at_run
from jobs.observe.spans import past_span, span, traced_by, traced_run, tracing, wants_traces
from tests.jobs.processes import REPO, environment


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def test_spans_of_a_build(provider, exporter):
    with at_run("run") as run, traced_by(provider), span("memoryflow run"):
        progress = Progress(quiet=True)
        progress.started()
        progress.total(10, 200)
        progress.advance(10, 200, {"slices": {"milliseconds": 1500}})
        with span("commit", number=1):
            pass

    spans = {s.name: s for s in exporter.get_finished_spans()}
    assert set(spans) == {"engine start", "read", "slice", "commit", "memoryflow run"}
    root = spans["memoryflow run"]
    for name, child in spans.items():
        assert child.attributes["memoryflow.run_id"] == run.run_id
        if child is not root:
            assert child.parent.span_id == root.context.span_id, name
    assert spans["read"].attributes["memoryflow.messages"] == 10
    took = spans["slice"].end_time - spans["slice"].start_time
    assert took == pytest.approx(1.5e9)


def test_an_error_is_in_its_span(provider, exporter):
    with pytest.raises(ValueError, match="oh"), traced_by(provider), span("commit"):
        raise ValueError("oh")

    (commit,) = exporter.get_finished_spans()
    assert not commit.status.is_ok
    assert [event.name for event in commit.events] == ["exception"]


def test_an_error_in_a_span_quotes_no_secret(provider, exporter, monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", "sk-123456789")
    with pytest.raises(ValueError, match="sk-"), traced_by(provider), span("commit"):
        raise ValueError("no answer for sk-123456789")

    (commit,) = exporter.get_finished_spans()
    assert "no answer for ***" in commit.events[0].attributes["exception.message"]
    assert "sk-123456789" not in commit.to_json()


def test_without_a_tracer_there_is_nothing():
    assert not tracing()
    with span("commit", number=1):
        past_span("slice", 1.0)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_who_wants_them(variables, wanted):
    assert wants_traces(variables) is wanted


def test_an_exporter_that_is_missing_is_told(monkeypatch, capsys):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with traced_run("run"):
        assert not tracing()

    assert "carrier-pigeon" in capsys.readouterr().err


def test_the_console_exporter_writes_lines_to_stderr(monkeypatch, capsys):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    with traced_run("run"), span("commit"):
        assert tracing()

    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.startswith('{"name": ') for line in captured.err.splitlines()] == [True, True]
    assert not tracing()


@pytest.mark.slow
def test_nothing_is_imported_that_nobody_asked_for():
    code = (
        "import sys\nfrom jobs.observe.spans import span, traced_run\n"
        "with traced_run('run'), span('commit'): pass\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    quiet = {k: v for k, v in environment().items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env=quiet,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
