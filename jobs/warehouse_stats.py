"""What `explain` asks of a warehouse."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.recorded_builds import BUILDS
from pipelines.changes import RecordedCalls
from transforms.warehouse.connection import Warehouse, open_warehouse


class RecordedStats:
    """Counts of keys, and the last plan that was run to its end."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def conversations(self) -> int:
        """Conversations with current messages."""
        return self._count(
            "SELECT count(*) FROM (SELECT DISTINCT tenant, conversation_id FROM messages "
            "WHERE is_current)"
        )

    def sessions(self) -> int:
        """Sessions."""
        return self._count("SELECT count(*) FROM sessions")

    def texts(self) -> int:
        """Distinct texts of facts, per conversation."""
        return self._count(
            "SELECT count(*) FROM (SELECT DISTINCT tenant, conversation_id, text FROM facts)"
        )

    def model_calls(self) -> Mapping[str, RecordedCalls]:
        """Model calls that the memory rests on, by step; one of two conversations is one."""
        rows = self._warehouse.rows(
            "SELECT step, count(*), sum(tokens), sum(cost) FROM (SELECT step, artifact_id, "
            "any_value(tokens_in + tokens_out) AS tokens, any_value(coalesce(cost, 0)) AS cost "
            "FROM artifacts GROUP BY ALL) GROUP BY step ORDER BY step"
        )
        return {step: RecordedCalls(int(n), int(tokens), cost) for step, n, tokens, cost in rows}

    def last_plan(self) -> Mapping[str, Any] | None:
        """`runs.plan` of the last finished run."""
        rows = self._warehouse.rows(
            f"SELECT plan FROM runs WHERE status = 'done' AND {BUILDS} "
            "ORDER BY started_at DESC, run_id LIMIT 1"
        )
        return json.loads(rows[0][0]) if rows else None

    def _count(self, sql: str) -> int:
        return int(self._warehouse.rows(sql)[0][0])


@contextmanager
def open_stats(path: Path) -> Generator[RecordedStats]:
    """Stats of the warehouse at `path`, opened for reading."""
    with open_warehouse(path, read_only=True) as warehouse:
        yield RecordedStats(warehouse)
