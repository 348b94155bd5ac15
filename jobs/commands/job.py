"""`job`: the jobs of a cluster."""

import time
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from jobs.commands.options import JsonOption
from jobs.commands.submit import ClusterOption, tell, write_log
from jobs.errors import EngineError
from jobs.submission.environment import prepare_submission_environment
from jobs.submission.job import Job, render_jobs
from jobs.submission.outcome import check_succeeded
from jobs.submission.request import ID_PREFIX

if TYPE_CHECKING:
    from jobs.submission.cluster import Cluster

_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.5

IdArg = Annotated[str, typer.Argument(metavar="ID", help="As `submit` printed it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("status")(status)
    group.command("logs")(logs)
    group.command("stop")(stop)
    group.command("list")(list_jobs)
    app.add_typer(group, name="job", help="Jobs of a Ray cluster: status, logs, stop, list.")


def status(job_id: IdArg, address: ClusterOption, json_output: JsonOption = False) -> None:
    """How a job is doing, or how it ended."""
    print(_text(_job(_cluster(address), job_id), as_json=json_output))


def logs(
    job_id: IdArg,
    address: ClusterOption,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="To its end; the exit code is the job's.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """What a job has written: on stdout, or followed on stderr."""
    cluster = _cluster(address)
    job = _job(cluster, job_id)
    if not follow:
        log = cluster.logs(job.id)
        print(_dumps({"id": job.id, "log": log}) if json_output else log, end="")
        return
    from jobs.submission.follow import follow as follow_job  # noqa: PLC0415 - imports Ray

    log = ""

    def write(piece: str) -> None:
        nonlocal log
        log += piece
        write_log(piece)

    job = follow_job(cluster, job.id, write)
    if json_output:
        print(_text(job, as_json=True))
    check_succeeded(job, log)


def stop(job_id: IdArg, address: ClusterOption, json_output: JsonOption = False) -> None:
    """End a job; what it has committed stays, and submitting it again goes on from there."""
    cluster = _cluster(address)
    job = _job(cluster, job_id)
    if not job.active:
        tell(f"{job.id} has ended already")
    job = _stopped(cluster, job)
    print(_text(job, as_json=True) if json_output else f"{job.id}  {job.status}")


def list_jobs(
    address: ClusterOption,
    all_jobs: Annotated[bool, typer.Option("--all", help="Jobs of other programs, too.")] = False,
    json_output: JsonOption = False,
) -> None:
    """The jobs that the cluster remembers, oldest first."""
    found = [job for job in _cluster(address).jobs() if all_jobs or job.id.startswith(ID_PREFIX)]
    found.sort(key=lambda job: (job.started or 0, job.id))
    if json_output:
        print(_dumps([job.to_json() for job in found]), end="")
    else:
        print(render_jobs(found) if found else "no jobs")


def _cluster(address: str) -> "Cluster":
    prepare_submission_environment()
    from jobs.submission.cluster import RayCluster  # noqa: PLC0415 - imports Ray

    return RayCluster(address)


def _job(cluster: "Cluster", job_id: str) -> Job:
    from jobs.submission.follow import found  # noqa: PLC0415 - imports Ray

    return found(cluster, job_id)


def _stopped(cluster: "Cluster", job: Job) -> Job:
    """The job once it has ended: Ray only takes note of a stop, and of none before it runs."""
    deadline = time.monotonic() + _STOP_SECONDS
    while job.active:
        if time.monotonic() > deadline:
            raise EngineError(
                f"{job.id} has been asked to stop, and has not within {_STOP_SECONDS:.0f} s; see "
                f"memoryflow job status {job.id} --address {cluster.address}"
            )
        cluster.stop(job.id)
        time.sleep(_POLL_SECONDS)
        job = _job(cluster, job.id)
    return job


def _text(job: Job, *, as_json: bool) -> str:
    return _dumps(job.to_json()).rstrip() if as_json else job.render()


def _dumps(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() + "\n"
