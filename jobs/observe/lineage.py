"""OpenLineage events of a run, appended to a file as JSON Lines; see openlineage.io for the form.

START when the input is known, then one of COMPLETE, FAIL (with the error) and ABORT (interrupted,
or ended by a budget). Inputs are files with size and hash, and live sources; outputs are the
tables the run has written to, with their columns and the number of rows. Nothing is sent anywhere.
"""

import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import UsageError
from jobs.observe.current import Run
from jobs.observe.datasets import FILE_NAMESPACE, Input, Written
from jobs.observe.secrets import mask
from schemas.tables import TABLES

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

PRODUCER = "urn:memoryflow"
_NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
_STREAMING = frozenset({"stream"})


def run_uuid(run_id: str) -> str:
    """The UUID that stands for a row of `runs`: the same for the same id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}:{run_id}"))


class Lineage:
    """The events of one run.

    Args:
        file: appended to, one event a line.
        run: whose events.
        pipeline: its name; the job is called `pipeline.job`.
        warehouse: folder of the tables.

    Raises:
        UsageError: the client library is missing, or the file cannot be written.
    """

    def __init__(self, file: Path, run: Run, pipeline: str, warehouse: Path) -> None:
        _check(file)
        # Most of a second, which only those who want events should wait for.
        from openlineage.client import facet_v2  # noqa: PLC0415
        from openlineage.client.transport.file import (  # noqa: PLC0415
            FileConfig,
            FileTransport,
        )

        facet_v2.set_producer(PRODUCER)

        self._transport = FileTransport(FileConfig(str(file), append=True))
        self._run = run
        self._pipeline = pipeline
        self._warehouse = warehouse.expanduser().resolve()
        self._inputs: Sequence[Input] = ()
        self._started = False

    def start(self, inputs: Sequence[Input]) -> None:
        """The run begins; this is what it reads."""
        self._inputs = inputs
        self._started = True
        self._emit("START")

    def complete(self, outputs: Sequence[Written]) -> None:
        """It has ended with everything committed."""
        self._end("COMPLETE", outputs, None)

    def abort(self, outputs: Sequence[Written], reason: str) -> None:
        """It has ended in order before everything was built."""
        self._end("ABORT", outputs, reason)

    def fail(self, outputs: Sequence[Written], error: BaseException) -> None:
        """It has failed; what it has committed stays."""
        self._end("FAIL", outputs, f"{type(error).__name__}: {error}")

    def _end(self, state: str, outputs: Sequence[Written], reason: str | None) -> None:
        if not self._started:  # A reader of events expects one.
            self.start(self._inputs)
        self._emit(state, outputs, reason)

    def _emit(self, state: str, outputs: Sequence[Written] = (), reason: str | None = None) -> None:
        from openlineage.client import event_v2  # noqa: PLC0415

        event = event_v2.RunEvent(
            eventType=event_v2.RunState[state],
            eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
            producer=PRODUCER,
            run=event_v2.Run(run_uuid(self._run.run_id), self._run_facets(reason)),
            job=event_v2.Job(
                os.environ.get(_NAMESPACE_VARIABLE, "memoryflow"),
                f"{self._pipeline}.{self._run.job}",
                self._job_facets(),
            ),
            inputs=[_input(given) for given in self._inputs],
            outputs=[self._output(written) for written in outputs],
        )
        self._transport.emit(event)

    def _run_facets(self, reason: str | None) -> dict[str, Any]:
        from openlineage.client.facet_v2 import (  # noqa: PLC0415
            error_message_run,
            external_query_run,
            processing_engine_run,
        )

        from jobs.observe.version import own_version  # noqa: PLC0415

        facets: dict[str, Any] = {
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                own_version(), "memoryflow"
            ),
            # The id by which `runs`, the log lines and the spans know the run.
            "externalQuery": external_query_run.ExternalQueryRunFacet(
                self._run.run_id, str(self._warehouse)
            ),
        }
        if reason is not None:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(mask(reason), "Python")
        return facets

    def _job_facets(self) -> dict[str, Any]:
        from openlineage.client.facet_v2 import job_type_job  # noqa: PLC0415

        kind = "STREAMING" if self._run.job in _STREAMING else "BATCH"
        return {"jobType": job_type_job.JobTypeJobFacet(kind, "MEMORYFLOW", "JOB")}

    def _output(self, written: Written) -> "OutputDataset":
        from openlineage.client.event_v2 import OutputDataset  # noqa: PLC0415
        from openlineage.client.facet_v2 import (  # noqa: PLC0415
            output_statistics_output_dataset,
            schema_dataset,
        )

        columns = [
            schema_dataset.SchemaDatasetFacetFields(column.name, str(column.type), column.comment)
            for column in TABLES[written.table].columns
        ]
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=written.rows
        )
        return OutputDataset(
            FILE_NAMESPACE,
            f"{self._warehouse}/{written.table}",
            outputFacets={"outputStatistics": statistics},
            facets={"schema": schema_dataset.SchemaDatasetFacet(columns)},
        )


def _input(given: Input) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset  # noqa: PLC0415
    from openlineage.client.facet_v2 import (  # noqa: PLC0415
        dataset_version_dataset,
        input_statistics_input_dataset,
    )

    statistics: dict[str, Any] = {}
    if given.size is not None:
        statistics["inputStatistics"] = (
            input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                size=given.size, fileCount=1
            )
        )
    facets: dict[str, Any] = {}
    if given.digest is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            f"sha256:{given.digest}"
        )
    return InputDataset(given.namespace, mask(given.name), inputFacets=statistics, facets=facets)


def _check(file: Path) -> None:
    """The client library is there, and the file can be written: before hours of work."""
    try:
        import openlineage.client  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise UsageError(
            "--events needs the OpenLineage client: pip install 'memoryflow[lineage]'"
        ) from None
    try:
        with file.open("ab"):
            pass
    except OSError as error:
        raise UsageError(
            f"--events {file}: the file cannot be written ({error.strerror}); name one in a "
            "folder that is there"
        ) from error
