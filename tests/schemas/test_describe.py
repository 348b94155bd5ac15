from pathlib import Path

from schemas.describe import markdown
from schemas.tables import TABLES

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_documented_tables_are_those_of_the_registry():
    assert DOCS.read_text("utf-8") == markdown(), "run: python -m schemas.describe > docs/tables.md"


def test_every_column_is_described():
    text = markdown()
    for table in TABLES.values():
        for column in table.columns:
            assert column.comment.endswith(".")
            assert f"`{column.name}`" in text
