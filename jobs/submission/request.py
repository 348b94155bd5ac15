"""What to run on the cluster, and the id that follows from it."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.load import SHIPPED
from pipelines.plan import Plan
from schemas.ids import content_hash

ID_PREFIX = "memoryflow-"
SUBMITTED = "submitted"
"""Folder of the job's working directory that a user's own pipeline file travels in."""
_ID_DIGITS = 16


@dataclass(frozen=True)
class RunOptions:
    """Options of `memoryflow run`; those not given are not passed on.

    Attributes:
        deciding: they decide what is in the warehouse afterwards.
        other: they decide how it gets there, and what is told about it.
    """

    deciding: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRequest:
    """A `memoryflow run` to submit.

    Attributes:
        pipeline: as the user named it: a shipped pipeline or a file.
        plan: what it says.
        input: file, folder or glob, as the cluster sees it.
        warehouse: folder, as the cluster sees it.
    """

    pipeline: str
    plan: Plan
    input: str
    warehouse: str
    options: RunOptions = field(default_factory=RunOptions)

    @property
    def file(self) -> Path | None:
        """The pipeline's file, if it is not a shipped one."""
        path = Path(self.pipeline)
        shipped = (SHIPPED / f"{self.pipeline}.yaml").is_file() and path.name == self.pipeline
        return None if shipped else path

    @property
    def submission_id(self) -> str:
        """Equal for requests that would make the same memory of the same input."""
        parts = (self.plan.fingerprint, self.input, self.warehouse, *self.options.deciding)
        return ID_PREFIX + content_hash("submission", *parts)[:_ID_DIGITS]

    @property
    def command(self) -> list[str]:
        """What the job executes, in its working directory."""
        pipeline = f"{SUBMITTED}/{self.file.name}" if self.file else self.pipeline
        return [
            *("python", "-m", "jobs.cli", "run"),
            *("--input", self.input, "--warehouse", self.warehouse, "--address", "auto"),
            *self.options.deciding,
            *self.options.other,
            *("--", pipeline),
        ]

    @property
    def metadata(self) -> dict[str, str]:
        """What Ray keeps with the job and shows in its dashboard."""
        return {
            "pipeline": self.plan.name,
            "plan": self.plan.fingerprint,
            "input": self.input,
            "warehouse": self.warehouse,
        }
