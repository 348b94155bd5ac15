"""The `replay:` section that a warehouse goes by: that of its last run."""

import json
from collections.abc import Iterable
from typing import Any

from jobs.errors import UsageError
from jobs.recorded_builds import BUILDS
from jobs.replay.kv_rows import KvEpisode
from operators.replay.spec import ReplaySpec
from transforms.warehouse.connection import Warehouse


def recorded_spec(warehouse: Warehouse) -> ReplaySpec:
    """The section as the last run recorded it; the default where that run knew of none.

    Read by itself: which operators the pipeline has does not matter here.

    Raises:
        UsageError: nothing has been built yet, or the section is of another program.
    """
    rows = warehouse.rows(
        f"SELECT pipeline_spec FROM runs WHERE {BUILDS} ORDER BY started_at DESC, run_id LIMIT 1"
    )
    if not rows:
        raise UsageError(f"{warehouse.path}: nothing has been built here yet; see `memoryflow run`")
    section: dict[str, Any] = json.loads(rows[0][0]).get("replay") or {}
    try:
        return ReplaySpec.model_validate(section)
    except ValueError as error:
        raise UsageError(
            f"{warehouse.path}: the `replay:` section of the last run is of another version of "
            "memoryflow; give --pipeline"
        ) from error


def spec_of_caches(spec: ReplaySpec, caches: Iterable[KvEpisode]) -> ReplaySpec:
    """`spec`, or where its compression has no cache, with the compression that most have.

    Caches may have been made with options of the command line. Ties go by the id.
    """
    counts: dict[str, int] = {}
    recorded: dict[str, str] = {}
    for cache in caches:
        counts[cache.compression_id] = counts.get(cache.compression_id, 0) + 1
        recorded[cache.compression_id] = cache.compression
    if spec.compression_id in counts or not counts:
        return spec
    most = min(counts, key=lambda name: (-counts[name], name))
    fields = json.loads(recorded[most])
    return spec.model_copy(update={name: fields[name] for name in ReplaySpec.COMPRESSION})
