"""How many slices are built at a time, and by how many embedders, where nobody says."""

import os

from operators.base import Cost
from pipelines.plan import Plan

_SLICES_PER_CPU = 2
"""With a language model: while one slice waits for answers, another has calls to make."""


def worker_count(plan: Plan, wanted: int | None = None, cpus: int | None = None) -> int:
    """Slice workers: as asked for, else as the pipeline says, else by CPUs (of this machine)."""
    asks = any(step.cost is Cost.LLM for step in plan.steps)
    return wanted or plan.runtime.workers or (cpus or _cpus()) * (_SLICES_PER_CPU if asks else 1)


def embedder_count(plan: Plan, workers: int) -> int:
    """Embedders: as the pipeline says, else one a worker, but no more than CPUs."""
    return plan.runtime.embedders or min(workers, _cpus())


def _cpus() -> int:
    return os.cpu_count() or 1
