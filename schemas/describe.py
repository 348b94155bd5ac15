"""The tables in Markdown, from the registry: `python -m schemas.describe > docs/tables.md`."""

import pyarrow as pa

from schemas.tables import TABLES, Column, Table
from schemas.views import VIEWS, View


def markdown() -> str:
    """Every table with its key and its columns, and the views."""
    parts = ["# Tables", "", _INTRODUCTION, ""]
    for table in TABLES.values():
        parts += _table(table)
    parts += ["## Views", "", _VIEWS, "", *map(_view, VIEWS)]
    return "\n".join(parts).rstrip() + "\n"


_INTRODUCTION = (
    "Made from `schemas/tables.py`. Bookkeeping tables and columns (marked b) are no function "
    "of the log and stay out of the digest. Columns marked d are filled by a later step than "
    "the one that makes the row."
)

_VIEWS = "Made from `schemas/views.py`; one with a parameter is called as `FROM name(value)`."


def _view(view: View) -> str:
    call = "" if view.parameters is None else f"({view.parameters})"
    return f"- `{view.name}{call}`: {view.comment}"


def _table(table: Table) -> list[str]:
    kind = " (bookkeeping)" if table.bookkeeping else ""
    rows = [f"| `{c.name}` | {_type(c.type)} | {_marks(c)} | {c.comment} |" for c in table.columns]
    return [
        f"## {table.name}{kind}",
        "",
        f"{table.comment} Key: {', '.join(f'`{name}`' for name in table.key)}.",
        "",
        "| column | type | | |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]


def _type(type_: pa.DataType) -> str:
    return str(type_).replace("list<element: ", "list<").replace("list<item: ", "list<")


def _marks(column: Column) -> str:
    marks = [
        mark
        for mark, holds in (
            ("null", column.nullable),
            ("d", column.derived),
            ("b", column.bookkeeping),
        )
        if holds
    ]
    return ", ".join(marks)


if __name__ == "__main__":
    print(markdown(), end="")
