"""`stream`."""

import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from jobs.batch.ray_environment import prepare_ray_environment
from jobs.commands.load_plan import load_plan
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    AddressOption,
    EventsOption,
    JsonOption,
    LlmKeyOption,
    LlmModelOption,
    LlmUrlOption,
    LogFormatOption,
    MaxCostOption,
    MaxTokensOption,
    PipelineArg,
    WarehouseOption,
    WorkersOption,
)
from jobs.errors import UsageError
from jobs.observe.logs import use_format
from jobs.worker_count import worker_count
from pipelines.plan import Plan

if TYPE_CHECKING:
    from jobs.stream.stream import Stream


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stream")(stream)


def stream(
    pipeline: PipelineArg,
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            help="Folder, file or glob of JSON Lines that grow; "
            "redis://HOST:PORT/DB?stream=NAME; kafka://HOST:PORT/TOPIC. May be repeated.",
        ),
    ],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    until_idle: Annotated[
        float | None,
        typer.Option(
            "--until-idle",
            min=0.0,
            help="End once the sources have been quiet so many seconds and all is built.",
        ),
    ] = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="Serve Prometheus metrics there."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="A line on stderr around every commit.")
    ] = False,
    llm_url: LlmUrlOption = None,
    llm_model: LlmModelOption = None,
    llm_key_env: LlmKeyOption = None,
    max_tokens: MaxTokensOption = None,
    max_cost: MaxCostOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    log_format: LogFormatOption = "text",
    events: EventsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Build memory from live logs; resumes where it stopped. SIGTERM drains and commits."""
    use_format(log_format)
    plan = load_plan(pipeline, llm_url, llm_model, llm_key_env)
    _check_format(plan)
    prepare_ray_environment(address)
    # Ray, Beam, DuckDB and the models take seconds to import: after what can be wrong above.
    from jobs.batch.ray_session import ray_session  # noqa: PLC0415
    from jobs.llm_gateways import Limits, check_limits  # noqa: PLC0415
    from jobs.observe.datasets import source_input  # noqa: PLC0415
    from jobs.observe.watch import watched  # noqa: PLC0415
    from jobs.stream.metrics import serve_metrics  # noqa: PLC0415
    from jobs.stream.pulse import Pulse  # noqa: PLC0415
    from jobs.stream.report import StreamReport  # noqa: PLC0415
    from jobs.stream.stream import Stream, StreamRequest  # noqa: PLC0415
    from transforms.sources.live.open_source import open_live_source  # noqa: PLC0415
    from transforms.warehouse.connection import open_warehouse  # noqa: PLC0415
    from transforms.warehouse.erasure import finish_pending_erasure  # noqa: PLC0415

    limits = Limits(max_tokens, max_cost)
    check_limits(plan, limits)
    count = worker_count(plan, workers)
    with ExitStack() as stack:
        watch = stack.enter_context(watched("stream", plan.name, warehouse, events=events))
        sources = [open_live_source(uri) for uri in dict.fromkeys(source)]
        watch.started([source_input(uri) for uri in dict.fromkeys(source)])
        for opened_source in sources:
            stack.callback(opened_source.close)
        # One thread: commits are small, and a second would cost the builders more than it gains.
        opened = stack.enter_context(open_warehouse(warehouse, threads=1))
        stack.enter_context(watch.writing(opened))
        finish_pending_erasure(opened)
        report = StreamReport()
        metrics = serve_metrics(metrics_port) if metrics_port is not None else None
        pulse = Pulse(opened.path, report, metrics, quiet=quiet)
        request = StreamRequest(plan, sources, count, until_idle, verbose, limits)
        running = Stream(opened, request, report, pulse)
        running.resume()
        stack.enter_context(ray_session(address, count))
        with _stopped_by_sigterm(running):
            running.run()
        watch.ended(report.to_json(), report.stopped)
    if json_output:
        print(orjson.dumps(report.to_json(), option=orjson.OPT_SORT_KEYS).decode())
    elif report.stopped:
        print(f"stopped: {report.stopped}")


def _check_format(plan: Plan) -> None:
    if plan.input.format != "jsonl":
        raise UsageError(
            f"pipeline '{plan.name}' reads format {plan.input.format}; a stream is JSON Lines, "
            "one message a line. Set input.format to jsonl, or build it with `memoryflow run`."
        )


@contextmanager
def _stopped_by_sigterm(running: "Stream") -> Generator[None]:
    """SIGTERM asks the stream to stop in order."""
    before = signal.signal(signal.SIGTERM, lambda *_: running.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
