"""The row that a job leaves in `runs`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from jobs.observe.current import current_run, new_run_id
from pipelines.plan import Plan, plan_record, plan_spec
from schemas.tables import TABLES

RUNNING, DONE, LIVE, STOPPED = "running", "done", "live", "stopped"
"""`runs.status`: a partial commit; ended with everything committed; a stream under way that
has every conversation as its plan would have it; ended by a budget, to be gone on with."""

CURRENT = frozenset({DONE, LIVE})
"""Statuses after which no conversation is behind the run's plan."""


@dataclass
class RunRecord:
    """A run under way.

    Attributes:
        job: run, stream or consolidate.
        plan: what it computes.
        input: what it reads, for people.
        run_id: that of the run this process is at, else a new one.
    """

    job: str
    plan: Plan
    input: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    run_id: str = ""

    def __post_init__(self) -> None:
        if not self.run_id:
            run = current_run()
            self.run_id = run.run_id if run else new_run_id(self.started)

    def row(self, status: str, report: Mapping[str, Any]) -> pa.Table:
        """The `runs` row as of now."""
        row = {
            "run_id": self.run_id,
            "job": self.job,
            "pipeline": self.plan.name,
            "fingerprint": self.plan.fingerprint,
            "plan": json.dumps(plan_record(self.plan), sort_keys=True),
            "pipeline_spec": plan_spec(self.plan),
            "input": self.input,
            "started_at": self.started,
            "finished_at": datetime.now(UTC),
            "status": status,
            "counters": orjson.dumps(report, option=orjson.OPT_SORT_KEYS).decode(),
        }
        return pa.Table.from_pylist([row], schema=TABLES["runs"].schema)
