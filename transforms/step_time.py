"""Time as runs count it: whole milliseconds beside the row counts, added up over all workers.

Kept in `runs.counters` alone. No row of memory depends on it.
"""

import time

MILLISECONDS = "milliseconds"
"""Counter of a step: time in its operator, waiting for models included."""

SLICES = "slices"
"""Counter, no step: whole slices, with reading what is recorded and comparing."""


def milliseconds_since(start: float) -> int:
    """Since a reading of `time.perf_counter`."""
    return round((time.perf_counter() - start) * 1000)
