"""Texts and folders that mean something to DuckLake mean nothing here."""

import importlib.util
import re
from pathlib import Path

import duckdb
import pytest

from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table
from transforms.warehouse.scope import conversation_table
from transforms.warehouse.staging import Stager, staging


def words_of_the_extension() -> list[str]:
    """Whatever looks like a template in the extension that is loaded."""
    spec = importlib.util.find_spec("duckdb_extension_ducklake")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "extensions", f"v{duckdb.__version__}")
    found = re.findall(rb"\{[A-Z][A-Z_]*\}", (folder / "ducklake.duckdb_extension").read_bytes())
    return sorted({word.decode() for word in found})


def test_every_word_that_the_extension_knows_is_a_text(warehouse: Warehouse) -> None:
    """As least and as greatest text of a file: what goes into its statistics."""
    words = words_of_the_extension()
    assert "{SNAPSHOT_ID}" in words
    for word in words:
        texts = {"a": f" {word}", "m": "said", "z": f"~{word}"}
        commit(warehouse, [ChangeSet("messages", inserts=messages(f"~{word}", texts))])
        commit(warehouse, [ChangeSet("messages", inserts=messages(f"zoo {word}", {"z": "said"}))])
    for word in words:
        asked = [("default", f"~{word}"), ("default", f"zoo {word}")]
        found = read_table(warehouse, "messages", conversations=asked)
        assert found.num_rows == 4
        gone = ChangeSet("messages", deletes=conversation_table(asked[:1]))
        commit(warehouse, [gone])
        assert read_table(warehouse, "messages", conversations=asked).num_rows == 1


@pytest.mark.parametrize("name", ["tenant=acme", "text=HACK", "seq=abc", "is_current=false"])
def test_a_folder_named_like_a_column_says_nothing_of_rows(tmp_path: Path, name: str) -> None:
    rows = messages("c1", {f"m{number}": "hello" for number in range(9)})
    with open_warehouse(tmp_path / name / "w", threads=1) as warehouse:
        with staging(warehouse, 1) as shared:
            staged = Stager(shared).stage([ChangeSet("messages", inserts=rows)])
            assert staged[0].staged
            commit(warehouse, staged)
        assert (
            read_table(warehouse, "messages")
            .sort_by("message_id")
            .equals(
                rows.select(read_table(warehouse, "messages").column_names).sort_by("message_id")
            )
        )
