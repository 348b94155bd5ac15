"""OpenTelemetry spans of a job: run, engine start, read, slice, commit. Only where asked for.

They are made where opentelemetry-sdk is installed and the environment names an exporter, as its
specification has it: OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER=otlp|console. Otherwise
nothing of it is imported, and a span costs a function call.
"""

import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import entry_points
from typing import Any

from jobs.observe.current import current_run
from jobs.observe.logs import say
from jobs.observe.secrets import mask

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVICE = "memoryflow"
_NOTHING: AbstractContextManager[None] = nullcontext()


class _Tracing:
    """The tracer of this process, while a run is traced."""

    tracer: Any = None


def span(name: str, **attributes: Any) -> AbstractContextManager[None]:
    """A span around a block; an exception is recorded in it."""
    tracer = _Tracing.tracer
    return _NOTHING if tracer is None else _span(tracer, name, attributes)


def past_span(name: str, seconds: float, **attributes: Any) -> None:
    """A span that ends now and began `seconds` ago: for what ran in another process."""
    tracer = _Tracing.tracer
    if tracer is not None:
        end = time.time_ns()
        begun = end - int(seconds * 1e9)
        tracer.start_span(name, start_time=begun, attributes=_all(attributes)).end(end_time=end)


def tracing() -> bool:
    """Whether spans are made: for callers whose attributes cost something."""
    return _Tracing.tracer is not None


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether the environment names somebody to export spans to."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if exporter:
        return exporter != "none"
    return any(environment.get(name) for name in _ENDPOINTS)


@contextmanager
def traced_run(job: str) -> Generator[None]:
    """The run as a span, if the environment wants one; exported to its end before this returns."""
    provider = _provider() if wants_traces(os.environ) else None
    if provider is None:
        yield
        return
    with traced_by(provider), span(f"memoryflow {job}"):
        yield


@contextmanager
def traced_by(provider: Any) -> Generator[None]:
    """Spans go to this TracerProvider, which is shut down at the end."""
    _Tracing.tracer = provider.get_tracer(_SERVICE)
    try:
        yield
    finally:
        _Tracing.tracer = None
        provider.shutdown()


def _provider() -> Any:
    """A provider with the exporters that the environment names; None where they are missing."""
    try:
        installed = importlib.util.find_spec("opentelemetry.sdk.trace") is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        _warn("opentelemetry-sdk is not installed")
        return None
    # Only here: everyone else must not pay for it.
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": _SERVICE}))
    for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        exporter = _exporter(name.strip())
        if exporter is None:
            _warn(f"there is no exporter {name.strip()!r}; opentelemetry-exporter-otlp has otlp")
            return None
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        # Not standard output: that is for what the command answers.
        return ConsoleSpanExporter(out=sys.stderr, formatter=_on_one_line)
    if name == "otlp":
        protocol = os.environ.get(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        )
        name = "otlp_proto_http" if protocol.startswith("http") else "otlp_proto_grpc"
    found = entry_points(group="opentelemetry_traces_exporter", name=name)
    return next((entry.load()() for entry in found), None)


def _on_one_line(ended: Any) -> str:
    return f"{ended.to_json(indent=None)}\n"


def _warn(why: str) -> None:
    say("spans.off", f"memoryflow: no spans, though OTEL_* is set: {why}", level="warning")


@contextmanager
def _span(tracer: Any, name: str, attributes: Mapping[str, Any]) -> Generator[None]:
    # Recorded by us: an error may quote a secret, and its message goes to another machine.
    with tracer.start_as_current_span(
        name, attributes=_all(attributes), record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            _record(current, error)
            raise


def _record(current: Any, error: Exception) -> None:
    """The error as OpenTelemetry's conventions have it, masked."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    kind, message = type(error).__name__, mask(str(error))
    told = {
        "exception.type": kind,
        "exception.message": message,
        "exception.stacktrace": mask("".join(traceback.format_exception(error))),
    }
    current.add_event("exception", told)
    current.set_status(Status(StatusCode.ERROR, f"{kind}: {message}"))


def _all(attributes: Mapping[str, Any]) -> dict[str, Any]:
    run = current_run()
    run_id = {"memoryflow.run_id": run.run_id} if run else {}
    return run_id | {f"memoryflow.{name}": value for name, value in attributes.items()}
