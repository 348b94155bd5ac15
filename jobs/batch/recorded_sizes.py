"""How much recorded conversations hold: what slices of a build without input are cut by."""

from collections.abc import Mapping, Sequence

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
    be one slice, for one worker.
    """
    sizes = dict(partitions)
    wanted = [c for c in stale if bucket_of(*c) not in partitions]
    if len(wanted) <= 1:  # Nothing to balance.
        return sizes
    for tenant, conversation, messages, chars in _recorded(warehouse, wanted):
        size = sizes.setdefault(bucket_of(tenant, conversation), Partition())
        size.messages += messages
        size.chars += chars
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
