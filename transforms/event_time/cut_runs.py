"""Cuts messages as they came in into runs: one conversation, no long silence inside."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from transforms.frame import SCOPE, Conversation, to_polars


@dataclass(frozen=True)
class RunRows:
    """Rows of a run, with the span of event time they cover."""

    conversation: Conversation
    start: datetime
    end: datetime
    rows: pa.Table


def cut_runs(messages: pa.Table, gap: timedelta) -> Iterator[RunRows]:
    """Runs of `messages` (any order), by conversation and time."""
    times = to_polars(messages.select([*SCOPE, "timestamp"])).with_row_index("row")
    order = times.sort([*SCOPE, "timestamp", "row"])
    starts = (
        pl.struct(SCOPE).ne_missing(pl.struct(SCOPE).shift()) | (pl.col("timestamp").diff() > gap)
    ).fill_null(value=True)
    runs = order.group_by(starts.cum_sum().alias("run"), maintain_order=True).agg(
        pl.col("tenant").first(),
        pl.col("conversation_id").first(),
        pl.col("timestamp").first().alias("start"),
        pl.col("timestamp").last().alias("end"),
        pl.col("row"),
    )
    for _, tenant, conversation, start, end, rows in runs.iter_rows():
        yield RunRows((tenant, conversation), start, end, messages.take(pa.array(rows)))
