"""`submit`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from jobs.commands.load_plan import load_plan
from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    JsonOption,
    LlmKeyOption,
    LlmModelOption,
    LlmUrlOption,
    LogFormatOption,
    MaxCostOption,
    MaxTokensOption,
    PipelineArg,
    WarehouseOption,
)
from jobs.commands.run import adapter_options
from jobs.observe.logs import JsonLines, say
from jobs.observe.secrets import mask
from jobs.submission.address import is_this_machine, job_address
from jobs.submission.environment import prepare_submission_environment
from jobs.submission.outcome import check_succeeded, exit_code_of, report_in
from jobs.submission.places import absolute_place, on_local_disk
from jobs.submission.request import RunOptions, RunRequest
from jobs.submission.runtime_env import runtime_env
from operators.llm.spec import OpenAiLlm
from pipelines.plan import Plan

if TYPE_CHECKING:
    from jobs.submission.cluster import Cluster
    from jobs.submission.submit import Submission

ClusterOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        help="The cluster's dashboard, http://HOST:8265.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit")(submit)


def submit(
    pipeline: PipelineArg,
    address: ClusterOption,
    input_path: Annotated[
        str, typer.Option("--input", help="File, folder or glob, as the cluster's nodes see it.")
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
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Parallel workers; default: CPUs of the cluster."),
    ] = None,
    commit_mib: Annotated[
        float | None,
        typer.Option("--commit-mib", min=0, help="Commit after so many MiB of results."),
    ] = None,
    stage_mib: Annotated[
        float | None,
        typer.Option(
            "--stage-mib", min=0, help="Workers write results of a table from so many MiB on."
        ),
    ] = None,
    llm_url: LlmUrlOption = None,
    llm_model: LlmModelOption = None,
    llm_key_env: LlmKeyOption = None,
    max_tokens: MaxTokensOption = None,
    max_cost: MaxCostOption = None,
    log_format: LogFormatOption = "text",
    events: Annotated[
        Path | None,
        typer.Option("--events", help="Append OpenLineage events to this file of the cluster."),
    ] = None,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML report to this file of the cluster."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME",
            help="Pass this environment variable on, with its value here. Whoever may list the "
            "cluster's jobs can read it, in the dashboard and through the API. Repeatable.",
        ),
    ] = None,
    runtime_env_file: Annotated[
        Path | None,
        typer.Option(
            "--runtime-env",
            help="YAML with more of Ray's runtime_env (pip, uv, env_vars, ...).",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run it although it has run and succeeded.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Follow the log to the end, or print the id."),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress in the log.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Run a build as a job of a Ray cluster; submitted twice, it runs once.

    The log is followed on stderr; the exit code is the run's. Ctrl-C stops following, not the
    job. A token is taken from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (RAY_AUTH_MODE=token).
    Keys of language models have to be set on the cluster, or are passed on with --env.
    """
    plan = load_plan(pipeline, llm_url, llm_model, llm_key_env)
    adapter_options(start_time)  # Refused here rather than there.
    options = RunOptions(
        deciding=(
            *_given("--format", format_name),
            *_given("--start-time", start_time),
            *_given("--max-bad", max_bad),
            *_given("--max-tokens", max_tokens),
            *_given("--max-cost", max_cost),
        ),
        other=(
            *_given("--workers", workers),
            *_given("--commit-mib", commit_mib),
            *_given("--stage-mib", stage_mib),
            *_given("--llm-url", llm_url),
            *_given("--llm-model", llm_model),
            *_given("--llm-key-env", llm_key_env),
            *(["--log-format", log_format] if log_format != "text" else []),
            *_file("--events", events),
            *_file("--report", report_file),
            *(["--quiet"] if quiet else []),
            *(["--json"] if json_output else []),
        ),
    )
    request = RunRequest(
        pipeline,
        plan,
        absolute_place(input_path, "--input"),
        absolute_place(str(warehouse), "--warehouse"),
        options,
    )
    environment = runtime_env(runtime_env_file, env or ())
    _warn(request, job_address(address), environment["env_vars"])
    prepare_submission_environment()
    # Ray takes seconds to import: after all that can be wrong above.
    from jobs.submission.cluster import RayCluster  # noqa: PLC0415
    from jobs.submission.submit import submit as submit_once  # noqa: PLC0415

    cluster = RayCluster(address)
    submission = submit_once(cluster, request, environment, again=again, tell=tell)
    if wait:
        _follow(cluster, submission, as_json=json_output)
    else:
        print(_as_json(submission, None) if json_output else submission.job.id)


def tell(message: str) -> None:
    """A line on stderr, beside the log."""
    say("submission", f"memoryflow: {message}")


def write_log(piece: str) -> None:
    """A piece of a job's log on stderr, as the job has written it, without our secrets."""
    stream = sys.stderr
    if isinstance(stream, JsonLines):  # The job's lines are objects already.
        stream.plain.write(mask(piece))
    else:
        stream.write(piece)
    stream.flush()


def _follow(cluster: "Cluster", submission: "Submission", *, as_json: bool) -> None:
    from jobs.submission.follow import follow  # noqa: PLC0415 - imports Ray
    from jobs.submission.submit import Submission  # noqa: PLC0415 - imports Ray

    log: list[str] = []

    def write(piece: str) -> None:
        log.append(piece)
        write_log(piece)

    job = follow(cluster, submission.job.id, write)
    if as_json:
        print(_as_json(Submission(job, submission.new), "".join(log)))
    check_succeeded(job, "".join(log))
    tell(f"{job.id} succeeded")


def _as_json(submission: "Submission", log: str | None) -> str:
    job = submission.job
    found: dict[str, Any] = {"id": job.id, "status": job.status, "submitted": submission.new}
    if log is not None:
        found |= {"exit_code": exit_code_of(job), "report": report_in(log)}
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def _given(option: str, value: object) -> tuple[str, ...]:
    return () if value is None else (option, str(value))


def _file(option: str, path: Path | None) -> tuple[str, ...]:
    return () if path is None else (option, absolute_place(str(path), option))


def _warn(request: RunRequest, address: str, variables: dict[str, str]) -> None:
    if not is_this_machine(address):
        for option, place in (("--input", request.input), ("--warehouse", request.warehouse)):
            if on_local_disk(place):
                tell(
                    f"warning: {option} {place} is on a disk of this machine, and will be looked "
                    "for on the cluster's nodes; give a folder that all of them share"
                )
    for name in sorted(_key_variables(request.plan) - variables.keys()):
        tell(
            f"note: the language model's key is taken from {name} on the cluster's nodes; where "
            f"it is not set there, pass it on with --env {name}"
        )


def _key_variables(plan: Plan) -> set[str]:
    parts = [part for step in plan.steps for part in step.operator.llm_parts().values()]
    llms = [part.llm for part in parts if isinstance(part.llm, OpenAiLlm)]
    return {llm.api_key_env for llm in llms if llm.api_key_env}
