"""`run`."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

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
from jobs.report.target import check_target
from operators.parse.base import AdapterOptions, ParseLimits
from pipelines.plan import Plan
from transforms.sources.files import expand_inputs

MEBIBYTE = 1024 * 1024
_SPOOL_PREFIX = "memoryflow-stdin-"
_SPOOL_FILE = "stdin.jsonl"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    pipeline: PipelineArg,
    input_path: Annotated[
        str, typer.Option("--input", help="File, folder, glob, or - for standard input.")
    ],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="jsonl, openai_chat, sharegpt, chatgpt_export, ..."),
    ] = None,
    start_time: Annotated[
        str | None,
        typer.Option("--start-time", help="First time of conversations that carry none."),
    ] = None,
    max_bad: Annotated[
        int | None, typer.Option("--max-bad", min=0, help="Stop once there are more bad lines.")
    ] = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    commit_mib: Annotated[
        float, typer.Option("--commit-mib", min=0, help="Commit after so many MiB of results.")
    ] = 64.0,
    stage_mib: Annotated[
        float,
        typer.Option(
            "--stage-mib", min=0, help="Workers write results of a table from so many MiB on."
        ),
    ] = 8.0,
    llm_url: LlmUrlOption = None,
    llm_model: LlmModelOption = None,
    llm_key_env: LlmKeyOption = None,
    max_tokens: MaxTokensOption = None,
    max_cost: MaxCostOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    log_format: LogFormatOption = "text",
    events: EventsOption = None,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write a report of the warehouse to this HTML file."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Build memory in batch; safe to run again: only what is new or changed is computed."""
    use_format(log_format)
    plan = load_plan(pipeline, llm_url, llm_model, llm_key_env)
    if report_file is not None:
        check_target(report_file)
    adapter = adapter_options(start_time)
    with _spooled(input_path) as path:
        source_format = format_name or plan.input.format
        files = expand_inputs(path, source_format)
        prepare_ray_environment(address)
        # Ray, DuckDB and the models take seconds to import: after all that can be wrong above.
        from jobs.batch.build import BuildRequest, build  # noqa: PLC0415
        from jobs.batch.progress import Progress  # noqa: PLC0415
        from jobs.batch.reading import ReadOptions  # noqa: PLC0415
        from jobs.llm_gateways import Limits, check_limits  # noqa: PLC0415
        from jobs.observe.datasets import file_inputs  # noqa: PLC0415
        from jobs.observe.watch import watched  # noqa: PLC0415
        from transforms.warehouse.connection import open_warehouse  # noqa: PLC0415

        limits = Limits(max_tokens, max_cost)
        check_limits(plan, limits)
        request = BuildRequest(
            plan,
            files,
            ReadOptions(source_format, _limits(plan), adapter),
            workers,
            address,
            max_bad,
            int(commit_mib * MEBIBYTE),
            int(stage_mib * MEBIBYTE),
            limits=limits,
        )
        with watched("run", plan.name, warehouse, events=events) as watch:
            watch.started(file_inputs(files) if watch.wants_inputs else [])
            with open_warehouse(warehouse) as opened, watch.writing(opened):
                report = build(opened, request, Progress(quiet=quiet))
            watch.ended(report.to_json(), report.stopped)
    if report_file is not None:
        from jobs.report.write import write_report  # noqa: PLC0415

        write_report(warehouse, report_file)
    if json_output:
        print(orjson.dumps(report.to_json(), option=orjson.OPT_SORT_KEYS).decode())
    elif report.skipped:
        print("nothing to do: this input has been read to its end under this pipeline")
    else:
        print(_summary(report.to_json()["counters"]))
        for line in llm_summary(report.spent, report.stopped):
            print(line)


def _summary(counters: dict[str, dict[str, int]]) -> str:
    read, messages = counters.get("read", {}), counters.get("messages", {})
    parts = [
        f"{messages.get('new', 0):,} new messages ({messages.get('repeated', 0):,} known)",
        f"{read.get('dead_letters', 0):,} dead letters",
    ]
    for step, counts in counters.items():
        if "computed" in counts:
            done = f"{step}: {counts['computed']:,} computed, {counts['kept']:,} kept"
            parts.append(done + _grounded(counts))
    return "\n".join(parts)


def _grounded(counts: Mapping[str, int]) -> str:
    """How many of the facts that a model found are borne out by their source."""
    found = counts.get("found", 0)
    if not found:
        return ""
    share = 1 - counts.get("ungrounded", 0) / found
    return f"; {found:,} facts by the model, {share:.1%} grounded"


def llm_summary(spent: Mapping[str, float], stopped: str | None) -> list[str]:
    """What language models did and cost, and whether a budget ended the run."""
    lines: list[str] = []
    if spent:
        shared = spent.get("shared", 0) + spent.get("journaled", 0)
        lines.append(
            f"language model: {spent.get('calls', 0):,.0f} calls, "
            f"{spent.get('tokens_in', 0):,.0f} tokens sent "
            f"({spent.get('cached_tokens', 0):,.0f} cached), "
            f"{spent.get('tokens_out', 0):,.0f} received, ${spent.get('cost', 0):.4f}; "
            f"{shared:,.0f} answered without a call"
        )
    if stopped:
        lines.append(f"stopped: {stopped}")
    return lines


def _limits(plan: Plan) -> ParseLimits:
    return ParseLimits(max_text_chars=plan.input.max_text_chars)


def adapter_options(start_time: str | None) -> AdapterOptions:
    """What `--start-time` says.

    Raises:
        UsageError: it is no time with a zone.
    """
    if start_time is None:
        return AdapterOptions()
    try:
        return AdapterOptions(start_time=datetime.fromisoformat(start_time))
    except ValueError as error:
        raise UsageError(
            f"--start-time '{start_time}' is not a time with a zone, such as "
            f"2025-01-31T09:00:00Z ({error})"
        ) from error


@contextmanager
def _spooled(path: str) -> Generator[str]:
    """Standard input as a file: reader tasks run in other processes.

    It is locked for as long as it is needed; the kernel drops the lock of a run that is killed.
    """
    _remove_abandoned_spools()
    if path != "-":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=_SPOOL_PREFIX) as folder:
        spool = Path(folder) / _SPOOL_FILE
        with spool.open("wb") as out:
            with suppress(OSError):  # A file system without locks: nobody takes it for abandoned.
                fcntl.flock(out, fcntl.LOCK_EX)
            shutil.copyfileobj(sys.stdin.buffer, out)
            out.flush()
            yield str(spool)


def _remove_abandoned_spools() -> None:
    """Remove what runs of this user that were killed have left: all that people said in it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SPOOL_PREFIX}*"):
        with suppress(OSError):  # Another user's, or gone meanwhile.
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _SPOOL_FILE).open("rb") as spool:
                fcntl.flock(spool, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # An empty one may have been made just now, and not been locked yet.
                if os.fstat(spool.fileno()).st_size:
                    shutil.rmtree(folder)
