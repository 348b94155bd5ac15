"""`run`."""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from jobs.batch.ray_environment import prepare_ray_environment
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    AddressOption,
    JsonOption,
    PipelineArg,
    WarehouseOption,
    WorkersOption,
)
from jobs.errors import UsageError
from operators.parse.base import AdapterOptions, ParseLimits
from pipelines.plan import Plan
from pipelines.plan import plan as load_plan
from transforms.sources.files import expand_inputs

MEBIBYTE = 1024 * 1024


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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Build memory in batch; safe to run again: only what is new or changed is computed."""
    plan = load_plan(pipeline)
    adapter = _adapter_options(start_time)
    with _spooled(input_path) as path:
        source_format = format_name or plan.input.format
        files = expand_inputs(path, source_format)
        prepare_ray_environment(address)
        # Ray, DuckDB and the models take seconds to import: after all that can be wrong above.
        from jobs.batch.build import BuildRequest, build  # noqa: PLC0415
        from jobs.batch.progress import Progress  # noqa: PLC0415
        from jobs.batch.reading import ReadOptions  # noqa: PLC0415
        from transforms.warehouse.connection import open_warehouse  # noqa: PLC0415

        request = BuildRequest(
            plan,
            files,
            ReadOptions(source_format, _limits(plan), adapter),
            workers or plan.runtime.workers or os.cpu_count() or 1,
            address,
            max_bad,
            int(commit_mib * MEBIBYTE),
        )
        with open_warehouse(warehouse) as opened:
            report = build(opened, request, Progress(quiet=quiet))
    if json_output:
        print(orjson.dumps(report.to_json(), option=orjson.OPT_SORT_KEYS).decode())
    elif report.skipped:
        print("nothing to do: this input has been read to its end under this pipeline")
    else:
        print(_summary(report.to_json()["counters"]))


def _summary(counters: dict[str, dict[str, int]]) -> str:
    read, messages = counters.get("read", {}), counters.get("messages", {})
    parts = [
        f"{messages.get('new', 0):,} new messages ({messages.get('repeated', 0):,} known)",
        f"{read.get('dead_letters', 0):,} dead letters",
    ]
    for step, counts in counters.items():
        if "computed" in counts:
            parts.append(f"{step}: {counts['computed']:,} computed, {counts['kept']:,} kept")
    return "\n".join(parts)


def _limits(plan: Plan) -> ParseLimits:
    return ParseLimits(max_text_chars=plan.input.max_text_chars)


def _adapter_options(start_time: str | None) -> AdapterOptions:
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
    """Standard input as a file: reader tasks run in other processes."""
    if path != "-":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="memoryflow-stdin-") as folder:
        spool = Path(folder) / "stdin.jsonl"
        with spool.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        yield str(spool)
