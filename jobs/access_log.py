"""Access log: which memories a search found, for the heat that `memory_heat` computes.

It is bookkeeping: apart from the digest, by hash of the question only, and gone with the
conversation that is forgotten. Rows go in through the writer's lock like everything else,
so a stream beside the search hands the warehouse over for the moment it takes.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from operators.recall.searcher import Result
from schemas.ids import content_hash, content_id
from schemas.tables import TABLES
from transforms.warehouse.commit import commit, insert_new
from transforms.warehouse.connection import open_warehouse

_TABLE = TABLES["accesses"]


class AccessLog:
    """Accesses of one or many questions, written in one transaction."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, question: str, results: Sequence[Result], at: datetime | None = None) -> None:
        """Keep what was found, at `at` or now."""
        moment = at or datetime.now(UTC)
        asked = content_hash("question", question)
        for result in results:
            scope = result.tenant, result.conversation_id
            self._rows.append(
                {
                    "tenant": result.tenant,
                    "conversation_id": result.conversation_id,
                    "access_id": content_id("access", *scope, result.id, moment.isoformat(), asked),
                    "memory_id": result.id,
                    "message_id": result.source_message_ids[0],
                    "accessed_at": moment,
                    "rank": result.rank,
                    "question_hash": asked,
                }
            )

    def write(self, warehouse: Path | str, lock_timeout: float = 30.0) -> int:
        """Commit what was kept, and say how many rows that was.

        A memory that one question found twice is one access. Waits `lock_timeout` seconds
        for another writer. Raises WarehouseError: that one does not let go, or the folder
        cannot be written to.
        """
        if not self._rows:
            return 0
        first = {row["access_id"]: row for row in reversed(self._rows)}
        rows = pa.Table.from_pylist(list(first.values()), schema=_TABLE.schema)
        with open_warehouse(warehouse, lock_timeout=lock_timeout) as opened:
            commit(opened, [], [insert_new(_TABLE.name, rows)])
        self._rows.clear()
        return rows.num_rows
