"""Text that DuckLake would fill in, made harmless.

The extension fills templates (`{SNAPSHOT_ID}`, `{DATA_PATH}`, ...) after it has put values into
them: the least and greatest texts of a file. A message that holds such a word would make the
commit fail, or make the statistics wrong, by which rows are then not found. An invisible
character behind the brace (U+2060, word joiner) makes it a text like any other.
"""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_JOINER = "\u2060"
# More than what is filled in today: of these families another version may know others.
_PATTERN = (
    r"\{((?:METADATA|DATA|SNAPSHOT|SCHEMA|CATALOG|TABLE|FILE|NEXT|COMMIT)(?:_[A-Z_]+)?\}|AUTHOR\})"
)
_WORD = re.compile(_PATTERN)


def inert(text: str) -> str:
    """`text` with every such word broken; most texts as they are. Idempotent."""
    return _WORD.sub(f"{{{_JOINER}\\1", text) if "{" in text else text


def inert_table(rows: pa.Table) -> pa.Table:
    """All strings of a table, also in lists, as `inert` makes them; the schema stays."""
    for index, field in enumerate(rows.schema):
        column = rows.column(index)
        if _has_word(column):
            rows = rows.set_column(index, field, _inert_column(column))
    return rows


def _has_word(column: "pa.ChunkedArray[Any]") -> bool:
    texts = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    if not pa.types.is_string(texts.type):
        return False
    return bool(pc.any(pc.match_substring_regex(texts, _PATTERN)).as_py())


def _inert_column(column: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    if pa.types.is_string(column.type):
        values = [None if v is None else inert(v) for v in column.to_pylist()]
    else:
        values = [
            None if v is None else [None if t is None else inert(t) for t in v]
            for v in column.to_pylist()
        ]
    return pa.array(values, column.type)
