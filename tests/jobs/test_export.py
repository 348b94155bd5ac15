from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from jobs.export import export_duckdb, export_parquet
from schemas.tables import TABLES
from tests.transforms.warehouse.rows import one_row_everywhere
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.errors import WarehouseError


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    rows = one_row_everywhere("word")
    commit(warehouse, [ChangeSet(name, inserts=table) for name, table in rows.items()])
    return warehouse


def test_parquet(filled: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = export_parquet(filled, out)
    assert sorted(p.name for p in out.iterdir()) == sorted(f"{n}.parquet" for n in TABLES)
    for name, table in TABLES.items():
        found = pq.read_table(out / f"{name}.parquet")
        assert found.cast(table.schema).num_rows == rows[name] == int(not table.bookkeeping)
    with pytest.raises(WarehouseError, match="not empty"):
        export_parquet(filled, out)


def test_the_folder_one_is_in(
    filled: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    export_parquet(filled, Path())
    assert (tmp_path / "out" / "facts.parquet").exists()


def test_a_warehouse_is_no_place_for_exports(filled: Warehouse) -> None:
    """Its upkeep would take them for orphans."""
    with pytest.raises(WarehouseError, match="inside another warehouse"):
        export_parquet(filled, filled.path / "data" / "out")
    with pytest.raises(WarehouseError, match="inside another warehouse"):
        export_duckdb(filled, filled.path / "memory.duckdb")


def test_duckdb_file_opens_without_extensions(filled: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "it's.duckdb"
    export_duckdb(filled, file)
    assert filled.rows("SELECT count(*) FROM facts") == [(1,)]
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
    }
    with duckdb.connect(str(file), read_only=True, config=config) as stock:
        found = dict(stock.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        assert found == {t.name: t.comment for t in TABLES.values()}
        assert stock.execute("SELECT count(*) FROM messages").fetchall() == [(1,)]
        at_a_time = ("memories_as_of('2030-01-01')", "memory_heat(TIMESTAMPTZ '2030-01-01')")
        for view in ("memories", "provenance", "timeline", *at_a_time):
            stock.execute(f"FROM {view}").fetchall()
    with pytest.raises(WarehouseError, match="the file exists"):
        export_duckdb(filled, file)
