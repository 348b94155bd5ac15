"""Cells: a session cut into chunks of two turns, the unit of extraction."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import MESSAGE_ORDER, SCOPE, from_rows, groups, need, values
from schemas.ids import content_id


class TwoTurnCells(Operator, frozen=True):
    """Cut each session into cells of a few turns.

    Method: MemForest (arXiv 2605.23986); two-turn cells kept all gold spans there, whole
    sessions about half. A turn is a maximal run of messages of one speaker. A cell is closed
    early where its text would pass `max_chars`; the rest of a turn cut so counts as a turn
    of the next cell. A single longer message is a cell of its own.

    Input: `messages` with `session_id` (rows without one are left out: not current).
    Output: `cells`. Errors: none. Cost: none. Deterministic.

    Attributes:
        turns: turns in a cell.
        max_chars: longest text of a cell of more than one message, in characters.
    """

    operator: Literal["two_turn_cells"] = "two_turn_cells"
    turns: int = Field(default=2, ge=1)
    max_chars: int = Field(default=8000, ge=1)

    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("cells",)
    KEY: ClassVar[Key] = Key.SESSION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Cut all sessions of the call."""
        del models
        table = need(tables, "messages", self.operator)
        column = {
            name: values(table, name)
            for name in ("session_id", "message_id", "speaker", "timestamp", "text")
        }
        lines = [
            f"{speaker}: {text}"
            for speaker, text in zip(column["speaker"], column["text"], strict=True)
        ]
        cells: list[dict[str, Any]] = []
        used = 0
        for scope, rows in groups(table, (*SCOPE, "session_id"), MESSAGE_ORDER).items():
            if scope[2] is None:
                continue
            used += len(rows)
            cells += (
                _cell(scope, members, column, lines)
                for members in self._cut(rows, column["speaker"], lines)
            )
        counters = {"in": table.num_rows, "out": used, "filtered": table.num_rows - used}
        return StepResult({"cells": from_rows("cells", cells)}, counters | {"cells": len(cells)})

    def _cut(self, rows: list[int], speakers: list[str], lines: list[str]) -> list[list[int]]:
        cells: list[list[int]] = []
        turns = chars = 0
        for row in rows:
            fresh = not cells or speakers[cells[-1][-1]] != speakers[row]
            longer = chars + 1 + len(lines[row])  # the newline between two lines counts
            if not cells or turns + fresh > self.turns or longer > self.max_chars:
                cells.append([row])
                turns, chars = 1, len(lines[row])
            else:
                cells[-1].append(row)
                turns, chars = turns + fresh, longer
        return cells


def _cell(
    scope: tuple[Any, ...], rows: list[int], column: dict[str, list[Any]], lines: list[str]
) -> dict[str, Any]:
    tenant, conversation, session = scope
    message_ids = [column["message_id"][row] for row in rows]
    return {
        "tenant": tenant,
        "conversation_id": conversation,
        "session_id": session,
        "cell_id": content_id("cell", tenant, conversation, *message_ids),
        "start_time": column["timestamp"][rows[0]],
        "end_time": column["timestamp"][rows[-1]],
        "message_ids": message_ids,
        "speakers": [column["speaker"][row] for row in rows],
        "text": "\n".join(lines[row] for row in rows),
    }
