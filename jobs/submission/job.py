"""A job of the cluster as Ray tells of it, without what it keeps of the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_ACTIVE = frozenset({"PENDING", "RUNNING"})


@dataclass(frozen=True)
class Job:
    """A submitted job.

    Attributes:
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        exit_code: of its process, once that has ended by itself.
        message: what Ray says of the status; of a failed job with the end of its log.
        started, ended: milliseconds since 1970.
        metadata: what was submitted with it: `pipeline`, `input`, `warehouse`, `plan`.
    """

    id: str
    status: str
    exit_code: int | None = None
    message: str = ""
    started: int | None = None
    ended: int | None = None
    entrypoint: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status in _ACTIVE

    def to_json(self) -> dict[str, Any]:
        """The job as plain values."""
        return {
            "id": self.id,
            "status": self.status,
            "exit_code": self.exit_code,
            "message": self.message,
            "started": _time(self.started),
            "ended": _time(self.ended),
            "entrypoint": self.entrypoint,
            "metadata": dict(self.metadata),
        }

    def render(self) -> str:
        """The job for people."""
        lines = [
            f"{self.id}  {self.status}",
            *(f"{name:<10} {text}" for name, text in self.metadata.items() if name != "plan"),
            f"{'started':<10} {_time(self.started) or '-'}",
            f"{'ended':<10} {_time(self.ended) or '-'}",
        ]
        if self.exit_code is not None:
            lines.append(f"{'exit code':<10} {self.exit_code}")
        if self.message:
            lines.append(f"{'message':<10} {self.message.strip()}")
        return "\n".join(lines)


def render_jobs(jobs: list[Job]) -> str:
    """One line a job."""
    rows = [("id", "status", "started", "pipeline", "warehouse")] + [
        (
            *(job.id, job.status, _time(job.started) or "-"),
            *(job.metadata.get("pipeline", "-"), job.metadata.get("warehouse", "-")),
        )
        for job in jobs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _time(milliseconds: int | None) -> str | None:
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
