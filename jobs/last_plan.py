"""The pipeline that built a warehouse."""

from jobs.errors import UsageError
from jobs.recorded_builds import BUILDS
from pipelines.plan import Plan, restored_plan
from transforms.warehouse.connection import Warehouse


def last_plan(warehouse: Warehouse) -> Plan:
    """The plan of the last run.

    Raises:
        UsageError: the warehouse has not been built yet.
        PipelineError: an operator of the plan is not installed here.
    """
    rows = warehouse.rows(
        f"SELECT pipeline_spec FROM runs WHERE {BUILDS} ORDER BY started_at DESC, run_id LIMIT 1"
    )
    if not rows:
        raise UsageError(f"{warehouse.path}: nothing has been built here yet; see `memoryflow run`")
    return restored_plan(rows[0][0])
