"""How much recorded conversations hold: what slices of a build without input are cut by."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.batch.reading import Partition, bucket_of
from transforms.frame import Conversation
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import conversation_table, pruning_filter

_STALE = "__stale_conversations"


def with_recorded(
    warehouse: Warehouse, partitions: Mapping[int, Partition], stale: Sequence[Conversation]
) -> dict[int, Partition]:
    """The partitions of the input, and of each bucket without input its recorded size.

    Otherwise conversations without new messages would count for nothing, and all of them
    be one slice, for one worker. A stale conversation with new messages may be built anew as
    a whole, so that its recorded ones count for how long it is.
    """
    sizes = {bucket: replace(partition) for bucket, partition in partitions.items()}
    if not stale:
        return sizes
    for tenant, conversation, messages, chars in _recorded(warehouse, stale):
        bucket = bucket_of(tenant, conversation)
        size = sizes.setdefault(bucket, Partition())
        if bucket not in partitions:
            size.messages += messages
            size.chars += chars
        size.longest = max(size.longest, messages)
    return sizes


def _recorded(
    warehouse: Warehouse, conversations: Sequence[Conversation]
) -> list[tuple[str, str, int, int]]:
    warehouse.connection.register(_STALE, conversation_table(conversations))
    try:
        return warehouse.rows(
            "SELECT tenant, conversation_id, count(*), CAST(sum(length(text)) AS BIGINT) "
            f"FROM messages m SEMI JOIN {_STALE} USING (tenant, conversation_id) "
            f"WHERE is_current AND {pruning_filter(conversations, 'm')} "
            "GROUP BY ALL ORDER BY ALL"
        )
    finally:
        warehouse.connection.unregister(_STALE)
