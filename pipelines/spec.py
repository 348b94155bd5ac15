"""The typed form of a pipeline YAML, and its JSON Schema.

In YAML a step is flat: `id`, `operator` and the operator's own parameters side by side.
Which parameters are allowed depends on the operator, so the model of a document is built
from the registered operators: a union of one step model each, told apart by `operator`.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    WithJsonSchema,
    create_model,
)

from operators.base import Operator
from operators.durations import Duration
from operators.parse.formats import FORMATS
from operators.replay.spec import ReplaySpec
from pipelines.errors import did_you_mean_or_list
from schemas.message import MAX_TEXT_CHARS

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]

EXTENSION_PREFIX = "x-"  # Top-level keys with it are ignored: a place for YAML anchors.
_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _known_format(name: str) -> str:
    if name not in FORMATS:
        hint = did_you_mean_or_list(name, list(FORMATS), "formats")
        raise ValueError(f"there is no input format '{name}'. {hint}")
    return name


class InputSpec(BaseModel):
    """What is read. Part of the fingerprint: it decides which lines become messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[
        str, AfterValidator(_known_format), WithJsonSchema({"type": "string", "enum": [*FORMATS]})
    ] = Field(default="jsonl", description="Format of the input, unless the command says another.")
    max_text_chars: int = Field(
        default=MAX_TEXT_CHARS,
        ge=1,
        le=10_000_000,
        description="Messages with a longer text become dead letters.",
    )


class RuntimeSpec(BaseModel):
    """How it is run, never what comes out; not part of any fingerprint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Ray workers; null for one per CPU, two with a language model.",
    )
    embedders: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Actors with the text model; null for one per worker and CPU.",
    )
    slice_chars: int = Field(
        default=500_000,
        ge=1_000,
        le=1_000_000_000,
        description="Characters of text a Ray task gets, in whole conversations.",
    )
    split_messages: int = Field(
        default=5_000,
        ge=1,
        le=1_000_000_000,
        description="Of a conversation with more new messages, workers share the sessions.",
    )
    commit_interval_seconds: float = Field(
        default=30.0,
        ge=0,
        le=86_400,
        description="At most so long until finished work is committed.",
    )


class StreamingSpec(BaseModel):
    """When a stream brings memory up to date, never what comes out; in no fingerprint.

    The one exception is lateness: what is later than allowed is kept out, in `dead_letters`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    session_gap: Duration | None = Field(
        default=None,
        description="Silence (event time) that closes a session; null takes the sessions' own.",
    )
    allowed_lateness: Duration = Field(
        default=timedelta(days=7),
        description="How long after its session has closed a message is still taken in.",
    )
    out_of_orderness: Duration = Field(
        default=timedelta(minutes=1),
        description="The watermark of a partition stays so far behind its newest message.",
    )
    idle_partition: Duration = Field(
        default=timedelta(seconds=30),
        description="A partition quiet for so long no longer holds the watermark back.",
    )
    early: Duration | None = Field(
        default=timedelta(milliseconds=500),
        description="Open sessions are built this soon after new messages; null: once closed.",
    )
    consolidate: Literal["every_pane", "session_end"] = Field(
        default="every_pane",
        description="When the steps over whole conversations run: always, or as sessions close.",
    )
    commit_interval: Duration = Field(
        default=timedelta(seconds=1), description="Finished work waits at most so long."
    )
    max_in_flight_mib: float = Field(
        default=32.0,
        gt=0,
        le=65_536,
        description="Messages read and not committed yet; at the limit the source has to wait.",
    )
    housekeeping_interval: Duration = Field(
        default=timedelta(minutes=1), description="How often small files and snapshots are seen to."
    )
    keep_every_snapshot: Duration = Field(
        default=timedelta(minutes=10),
        description="Younger snapshots are all kept; of older ones the last of each hour.",
    )
    keep_snapshots: Duration = Field(
        default=timedelta(days=7), description="Older snapshots expire."
    )
    runner: str = Field(
        default="local",
        pattern=r"^(local|portable:[A-Za-z0-9_.\-]+:\d+)$",
        description="Beam runner: local, or portable:HOST:PORT of a Beam job endpoint.",
    )


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = Field(description="Version of this format.")
    name: Name = Field(description="Name of the pipeline, in run reports.")
    description: str = Field(default="", max_length=2_000, description="What it is for.")
    input: InputSpec = Field(default_factory=InputSpec, description="What is read.")
    runtime: RuntimeSpec = Field(default_factory=RuntimeSpec, description="How it is run.")
    streaming: StreamingSpec = Field(
        default_factory=StreamingSpec, description="When memory is built, as a stream."
    )
    replay: ReplaySpec = Field(
        default_factory=ReplaySpec, description="How raw history is kept for answers."
    )


class StepSpec(BaseModel):
    """A step: its id, and the operator with its parameters."""

    model_config = ConfigDict(frozen=True)

    id: StepId
    operator: SerializeAsAny[Operator]


class PipelineSpec(_Header):
    """A pipeline as declared: header, steps in order, how and when they run and answer."""

    steps: tuple[StepSpec, ...] = Field(min_length=1)


def document_model(operators: Mapping[str, type[Operator]]) -> type[BaseModel]:
    """The model of a pipeline YAML over these operators."""
    models = [_step_model(name, operators[name]) for name in sorted(operators)]
    step: Any = reduce(or_, models)
    if is_tagged(operators):
        step = Annotated[step, Field(discriminator="operator")]
    steps: Any = (list[step], Field(min_length=1, description="Computed in this order."))
    return create_model("Pipeline", __base__=_Header, __doc__="A memoryflow pipeline.", steps=steps)


def is_tagged(operators: Mapping[str, type[Operator]]) -> bool:
    """Whether errors carry the operator name in their location: a union of one has no tag."""
    return len(operators) > 1


def _step_model(name: str, operator: type[Operator]) -> type[BaseModel]:
    # The default of `operator` is dropped: in YAML the name chooses the class.
    fields: dict[str, Any] = {
        "id": (
            StepId,
            Field(description="Unique name of the step; a new name computes it again."),
        ),
        "operator": (Literal[name], Field(description="Operator that computes the step.")),
    }
    return create_model(
        f"{operator.__name__}Step", __base__=operator, __doc__=_summary(operator), **fields
    )


def _summary(operator: type[Operator]) -> str:
    """The first line of its docstring: what an editor shows beside the name."""
    return (operator.__doc__ or "").strip().partition("\n")[0]


def json_schema(operators: Mapping[str, type[Operator]]) -> dict[str, Any]:
    """JSON Schema of a pipeline YAML, for editors."""
    schema = document_model(operators).model_json_schema()
    # Editors may meet the anchor keys that `load` skips.
    schema["patternProperties"] = {f"^{EXTENSION_PREFIX}": {}}
    return {"$schema": _SCHEMA_DIALECT, **schema}


def json_schema_text(operators: Mapping[str, type[Operator]]) -> str:
    """The JSON Schema as it is committed in `pipelines/pipeline.schema.json`."""
    return json.dumps(json_schema(operators), indent=2, ensure_ascii=False) + "\n"
