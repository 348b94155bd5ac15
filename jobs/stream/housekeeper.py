"""Upkeep of the warehouse between the commits of a stream."""

import time
from datetime import UTC, datetime

from jobs.answers_kept import drop_journals
from pipelines.spec import StreamingSpec
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.housekeeping import HousekeepingPolicy, housekeep
from transforms.warehouse.maintenance import remove_orphans


class Housekeeper:
    """Merges small files, thins snapshots and drops the journal, once in a while."""

    def __init__(self, warehouse: Warehouse, spec: StreamingSpec) -> None:
        self._warehouse = warehouse
        self._interval = spec.housekeeping_interval.total_seconds()
        self._policy = HousekeepingPolicy(
            keep_every=spec.keep_every_snapshot, keep=spec.keep_snapshots
        )
        self._done = time.monotonic()
        self._began = time.time()
        self._orphans = True

    @property
    def due(self) -> bool:
        """Whether it is time; then finish and commit what is being built first."""
        return time.monotonic() - self._done >= self._interval

    def tidy(self) -> None:
        """One pass. Nothing may be under way that has been answered and not committed."""
        self.drop_journal()
        if self._orphans:  # Files of lives of this stream, or others, that were killed.
            remove_orphans(self._warehouse)
            self._orphans = False
        housekeep(self._warehouse, self._policy, datetime.now(UTC))
        self._done = time.monotonic()

    def drop_journal(self) -> None:
        """All that this stream was answered has been committed."""
        drop_journals(self._warehouse, self._began)
