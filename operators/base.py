"""What every operator is: a typed, frozen configuration that computes tables from tables.

An operator class is at once its own configuration (pydantic, so the YAML is typed and has
a JSON Schema) and its own computation (`run`). Replacing a rule by a model is then one
line of YAML: the `operator:` name.

Rules every operator keeps, checked by `tests/operators/test_conformance.py`:

- `run` is a pure function of the rows of each key. A call may hold any number of whole
  keys; what comes out for a key must not depend on which other keys are in the call, nor
  on the order of the input rows.
- Output tables have exactly the columns and types of `schemas.tables`.
- Nothing is read from the clock, the environment, the network or the file system. Models
  are reached through the `Models` argument only, which records every call.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from operators.llm.call import Answer, Request
from operators.llm.part import LlmPart
from operators.llm.spec import AnyLlm
from schemas.ids import content_hash

Tables = Mapping[str, pa.Table]
Vectors = npt.NDArray[np.float32]


class Key(StrEnum):
    """What one unit of work is: the rows that must be seen together."""

    TEXT = "text"
    SESSION = "session"
    CONVERSATION = "conversation"


class Cost(StrEnum):
    """The dearest thing an operator calls."""

    NONE = "none"
    EMBEDDING = "embedding"
    LLM = "llm"


class ModelAccess(Protocol):
    """The models that a run has."""

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Unit vectors, shape (len(texts), dim), float32. A vector depends on its text alone."""
        ...

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of each text as the model reads it."""
        ...

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """An answer to each request, in order; all are in flight together: one round trip.

        Raises:
            ModelUnavailableError: the engine cannot be reached, or a budget is used up.
        """
        ...


class Models(ModelAccess, Protocol):
    """The models as an operator sees them: every call is recorded, so none is paid twice."""

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        """Note that an answer cannot be used: it becomes a dead letter, with the reason."""
        ...


@dataclass(frozen=True)
class StepResult:
    """Output of one call: tables by name, and row counts for the conservation check.

    `counters` uses the names `in`, `out`, `filtered` and whatever else is worth a number
    in the run report; `in == out + filtered` where an operator drops rows.
    """

    tables: dict[str, pa.Table]
    counters: dict[str, int] = field(default_factory=dict[str, int])


class Operator(BaseModel, frozen=True):
    """Base of all operators; subclasses set the class variables and implement `run`.

    Attributes:
        operator: name in YAML; a `Literal` with a default in each subclass.
        VERSION: raise it when the output for the same input changes; part of the fingerprint.
        READS: tables or `table.column`s needed.
        WRITES: tables produced, or `table.column` where an existing table is enriched.
        KEY: the unit of work.
        COST: none, embedding or llm.
        RUNTIME_FIELDS: parameters that change how, not what, is computed (batch sizes, ...).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    operator: str

    VERSION: ClassVar[int] = 1
    READS: ClassVar[tuple[str, ...]] = ()
    WRITES: ClassVar[tuple[str, ...]] = ()
    KEY: ClassVar[Key]
    COST: ClassVar[Cost] = Cost.NONE
    RUNTIME_FIELDS: ClassVar[frozenset[str]] = frozenset()

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Compute the output tables for the keys in `tables`."""
        raise NotImplementedError(f"{type(self).__name__}.run")

    def reads(self) -> tuple[str, ...]:
        """READS, without what these parameters do not need."""
        return self.READS

    def writes(self) -> tuple[str, ...]:
        """WRITES, with `artifacts` where a model is called: the dataflow records the calls."""
        records = bool(self.llm_parts()) and "artifacts" not in self.WRITES
        return (*self.WRITES, "artifacts") if records else self.WRITES

    def cost(self) -> Cost:
        """The dearest thing that it calls with these parameters."""
        return Cost.LLM if self.llm_parts() else self.COST

    def llm_parts(self) -> dict[str, LlmPart]:
        """What calls a model: parameters by name, and the operator itself under ''."""
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        found = {name: part for name, part in parts.items() if isinstance(part, LlmPart)}
        return {"": self, **found} if isinstance(self, LlmPart) else found

    def fingerprint_parameters(self) -> dict[str, Any]:
        """The parameters that take part in the fingerprint, in JSON form.

        Of a model only what decides its answers: not where it runs. Its prompts count, too.
        """
        parameters = self.model_dump(mode="json", exclude=set(self.RUNTIME_FIELDS))
        for name, part in self.llm_parts().items():
            (parameters[name] if name else parameters).update(part.fingerprint_parameters_of_llm())
        return parameters

    def fingerprint(self) -> str:
        """Hash of name, version and parameters: equal fingerprint, equal function."""
        parameters = json.dumps(self.fingerprint_parameters(), sort_keys=True)
        return content_hash("operator", self.operator, self.VERSION, parameters)
