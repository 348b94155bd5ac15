"""Which version of each message counts.

A message may arrive many times, in any order, corrected or not. The rule of the contract:
the higher `revision` wins, then the larger content hash, never the order of arrival.
"""

import polars as pl
import pyarrow as pa

from schemas.tables import TABLES

_MESSAGE = ("tenant", "conversation_id", "message_id")
_VERSION = (*_MESSAGE, "content_hash")
_ORDER = ("tenant", "conversation_id", "timestamp", "seq", "message_id", "content_hash")


def resolve_versions(messages: pa.Table) -> pa.Table:
    """One row per version of each message, the winners marked.

    Input: rows of `messages`, several versions and repetitions in any order; whole
    messages (every known version of each id that occurs). Output: rows of `messages`, one
    per (tenant, conversation_id, message_id, content_hash) with the highest revision it
    was seen with; `is_current` true for one version per id; `conflict` true on all
    versions of an id whose highest revision is shared by different contents; `session_id`
    kept on current rows only. Sorted by tenant, conversation and event order.

    Cost: none; a sort. Deterministic, and independent of row order. Applying it to the
    union of two results gives the same as applying it to everything at once.
    """
    frame = pl.DataFrame(pl.from_arrow(messages.select(TABLES["messages"].schema.names)))
    distinct = frame.group_by(_VERSION).agg(
        pl.col("revision", "session_id").max(),
        pl.exclude(*_VERSION, "revision", "session_id").first(),  # a function of the content
    )
    is_top = pl.col("revision") == pl.col("revision").max().over(_MESSAGE)
    is_largest = pl.col("content_hash") == pl.col("content_hash").filter("_top").max().over(
        _MESSAGE
    )
    resolved = (
        distinct.with_columns(is_top.alias("_top"))
        .with_columns(
            (pl.col("_top") & is_largest).alias("is_current"),
            (pl.col("_top").sum().over(_MESSAGE) > 1).alias("conflict"),
        )
        .with_columns(pl.when("is_current").then("session_id").alias("session_id"))
        .sort(_ORDER)
    )
    schema = TABLES["messages"].schema
    return resolved.select(schema.names).to_arrow().cast(schema)
