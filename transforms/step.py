"""A declared step, ready to be executed: an operator with its place in the dataflow."""

from dataclasses import dataclass
from typing import Protocol

from operators.base import Key, Operator


class Step(Protocol):
    """What the dataflow needs to know of a planned step (see `pipelines.plan.PlanStep`)."""

    @property
    def id(self) -> str:
        """Name of the step, unique in its pipeline."""
        ...

    @property
    def operator(self) -> Operator:
        """What computes it."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Tables and `table.column`s it reads."""
        ...

    @property
    def writes(self) -> tuple[str, ...]:
        """Tables it makes, `table.column`s by which it enriches one."""
        ...

    @property
    def key(self) -> Key:
        """The unit of work."""
        ...

    @property
    def chained_fingerprint(self) -> str:
        """Hash of its operator and of everything upstream."""
        ...

    @property
    def overwritten(self) -> tuple[str, ...]:
        """`table.column`s it writes that a later step writes, too."""
        ...


@dataclass(frozen=True)
class Write:
    """A table that a step produces, or the columns by which it enriches one."""

    table: str
    columns: tuple[str, ...] = ()

    @property
    def enriches(self) -> bool:
        """Whether rows stay and only columns change."""
        return bool(self.columns)


def table_of(name: str) -> str:
    """`facts.text` -> `facts`."""
    return name.partition(".")[0]


def tables_read(step: Step) -> tuple[str, ...]:
    """Tables named in READS, each once, in the declared order."""
    return tuple(dict.fromkeys(table_of(name) for name in step.reads))


def writes_of(step: Step) -> tuple[Write, ...]:
    """WRITES grouped by table."""
    grouped: dict[str, list[str]] = {}
    for name in step.writes:
        table, _, column = name.partition(".")
        grouped.setdefault(table, []).extend([column] if column else [])
    return tuple(Write(table, tuple(columns)) for table, columns in grouped.items())
