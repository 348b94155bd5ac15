"""What a report shows, as plain values: aggregated in SQL, the largest few of everything."""

from datetime import datetime
from typing import Any

from jobs.observe.version import own_version
from jobs.report.activity import activity
from jobs.report.letters import dead_letters
from jobs.report.memory import conversation_sizes, personas, table_sizes, totals
from jobs.report.runs import growth, models, run_of
from jobs.report.scenes import scene_maps, scene_sizes
from jobs.report.trees import icicle, tree_shapes
from transforms.warehouse.connection import Warehouse


def collect(warehouse: Warehouse, run_id: str | None, now: datetime) -> dict[str, Any]:
    """Everything the template names.

    Raises:
        UsageError: there is no such run.
    """
    return {
        "warehouse": str(warehouse.path),
        "now": now,
        "version": own_version(),
        "run": run_of(warehouse, run_id),
        "totals": totals(warehouse),
        "models": models(warehouse),
        "letters": dead_letters(warehouse),
        "growth": growth(warehouse),
        "activity": activity(warehouse),
        "conversations": conversation_sizes(warehouse),
        "trees": tree_shapes(warehouse),
        "icicle": icicle(warehouse),
        "scenes": scene_sizes(warehouse),
        "scene_maps": scene_maps(warehouse),
        "personas": personas(warehouse),
        "tables": table_sizes(warehouse),
    }
