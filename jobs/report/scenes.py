"""Scenes: how large, and when."""

from datetime import datetime
from typing import Any

from jobs.report.charts import WIDTH, Box, fitting, shade
from jobs.report.letters import short
from transforms.warehouse.connection import Warehouse

Row = dict[str, Any]
_LARGEST = 12
_CONVERSATIONS = 4
_SCENES = 12
_BINS = 60
_ROW = 22.0
_LEFT = 300.0


def scene_sizes(warehouse: Warehouse) -> Row:
    """Scenes by members in powers of two, and the largest ones."""
    buckets = warehouse.query(
        "SELECT floor(log2(greatest(member_count, 1)))::INT AS power, count(*) AS scenes "
        "FROM scenes GROUP BY 1 ORDER BY 1"
    ).to_pylist()
    most = max((row["scenes"] for row in buckets), default=1)
    for row in buckets:
        low = 2 ** row["power"]
        row["label"] = "1" if low == 1 else f"{low:,} to {2 * low - 1:,}"
        row["share"] = 100 * row["scenes"] / most
    largest = warehouse.query(
        "SELECT tenant, conversation_id, title, summary, member_count, session_count, salience, "
        "people[1:4] AS people, start_time, end_time FROM scenes "
        f"ORDER BY member_count DESC, salience DESC, scene_id LIMIT {_LARGEST}"
    ).to_pylist()
    top = max((row["member_count"] for row in largest), default=1)
    for row in largest:
        row["share"] = 100 * row["member_count"] / top
        row["title"] = short(row["title"], 90)
        row["summary"] = short(row["summary"], 200)
    return {"buckets": buckets, "largest": largest}


def scene_maps(warehouse: Warehouse) -> list[Row]:
    """Of the conversations with most in scenes: for each scene a row of cells over time."""
    chosen = warehouse.rows(
        "SELECT tenant, conversation_id, count(*) AS scenes FROM scenes GROUP BY ALL "
        f"ORDER BY sum(member_count) DESC, tenant, conversation_id LIMIT {_CONVERSATIONS}"
    )
    return [_map(warehouse, tenant, name, scenes) for tenant, name, scenes in chosen]


def _map(warehouse: Warehouse, tenant: str, conversation: str, count: int) -> Row:
    scope = [tenant, conversation]
    scenes = warehouse.query(
        "SELECT scene_id, title, member_count, session_count, start_time, end_time FROM scenes "
        "WHERE tenant = ? AND conversation_id = ? "
        f"ORDER BY member_count DESC, scene_id LIMIT {_SCENES}",
        scope,
    ).to_pylist()
    scenes.sort(key=lambda row: (row["start_time"], row["scene_id"]))
    first = min(row["start_time"] for row in scenes)
    last = max(row["end_time"] for row in scenes)
    span = max((last - first).total_seconds(), 1.0)
    cells = warehouse.rows(
        "SELECT m.scene_id, least(floor((epoch(f.event_time) - ?) / ? * ?)::INT, ?) AS bin, "
        "count(*) FROM scene_members m JOIN facts f ON f.tenant = m.tenant "
        "AND f.conversation_id = m.conversation_id AND f.fact_id = m.memory_id "
        "WHERE m.tenant = ? AND m.conversation_id = ? GROUP BY ALL ORDER BY ALL",
        [first.timestamp(), span, _BINS, _BINS - 1, *scope],
    )
    return {
        "tenant": tenant,
        "conversation": conversation,
        "hidden": count - len(scenes),
        "rows": [_title(row, place) for place, row in enumerate(scenes)],
        "cells": _cells(scenes, cells),
        "height": len(scenes) * _ROW,
        "left": _LEFT,
        "first": _day(first),
        "last": _day(last),
    }


def _title(row: Row, place: int) -> Row:
    told = f"{row['title']} ({row['member_count']} facts, {row['session_count']} sessions)"
    return {
        "y": place * _ROW,
        "label": fitting(short(row["title"]), _LEFT - 46),
        "members": row["member_count"],
        "title": short(told, 160),
    }


def _cells(scenes: list[Row], cells: list[tuple[Any, ...]]) -> list[Box]:
    place = {row["scene_id"]: index for index, row in enumerate(scenes)}
    shown = [cell for cell in cells if cell[0] in place and cell[1] is not None]
    largest = max((count for _, _, count in shown), default=1)
    width = (WIDTH - _LEFT) / _BINS
    return [
        Box(
            round(_LEFT + max(bin_, 0) * width, 2),
            place[scene] * _ROW + 2,
            round(width - 1, 2),
            _ROW - 4,
            shade(count, largest),
            title=f"{count} facts",
        )
        for scene, bin_, count in shown
    ]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
