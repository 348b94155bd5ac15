"""The only writer of a run: commits change sets, all tables in one transaction."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.answers_kept import drop_journals
from jobs.observe.logs import say
from jobs.observe.spans import span
from jobs.run_record import DONE, RUNNING, STOPPED, RunRecord
from transforms.diff import merged
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from jobs.batch.build import BuildReport, BuildRequest


class Committer:
    """Collects finished change sets; a commit holds whole slices and the run's ledger row."""

    def __init__(
        self, warehouse: Warehouse, request: "BuildRequest", report: "BuildReport"
    ) -> None:
        self.warehouse = warehouse
        self.report = report
        self._request = request
        self._pending: list[ChangeSet] = []
        self._last_commit = time.monotonic()
        self._began = time.time()
        files = ", ".join(str(file.path) for file in request.files[:20])
        self._record = RunRecord(request.job, request.plan, files)

    def add(self, changes: Iterable[ChangeSet]) -> None:
        """Keep for the next commit."""
        self._pending.extend(changes)

    def commit_if_due(self) -> None:
        """Commit once enough is pending, or anything for long enough; never nothing."""
        if not self._pending:
            return
        size = sum(change.nbytes for change in self._pending)
        waited = time.monotonic() - self._last_commit
        interval = self._request.plan.runtime.commit_interval_seconds
        if size >= self._request.commit_bytes or waited >= interval:
            self.commit(done=False)

    def commit_pending(self) -> None:
        """Commit whatever is finished, since nothing else will be."""
        if self._pending:
            self.commit(done=False)

    def commit(
        self, *, done: bool, ledger: pa.Table | None = None, status: str | None = None
    ) -> None:
        """One transaction: all pending changes, the run's row and, at the end, the input ledger."""
        self.report.commits += 1
        number = self.report.commits
        status = status or (DONE if done else RUNNING)
        bookkeeping = [upsert("runs", self._record.row(status, self.report.to_json()))]
        if ledger is not None and ledger.num_rows:
            bookkeeping.append(upsert("offsets", ledger))
        say("commit.writing", f"commit {number}: writing", number=number)
        with span("commit", number=number):
            snapshot = commit(self.warehouse, merged(self._pending), bookkeeping)
        text = f"commit {number}: snapshot {snapshot}"
        say("commit.written", text, number=number, snapshot=snapshot)
        self._pending.clear()
        self._last_commit = time.monotonic()

    def stop(self) -> None:
        """The last commit of a run that a budget ended.

        What it was answered and could not commit stays in the journal, for the run that goes on.
        """
        self.commit(done=False, status=STOPPED)

    def finish(self, ledger: pa.Table) -> None:
        """The last commit; what this run was answered is recorded then, so its journal goes."""
        self.commit(done=True, ledger=ledger)
        drop_journals(self.warehouse, self._began)
