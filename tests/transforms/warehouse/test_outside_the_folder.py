"""Catalog in a real PostgreSQL, Parquet in a real S3 server, each alone and both together."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from jobs.digest import digest
from schemas.tables import TABLES
from tests.servers.places import BUCKET, OWNER, Place, Servers, running_servers
from tests.servers.postgres import PASSWORD
from tests.servers.s3 import SECRET
from tests.transforms.warehouse.rows import messages, one_row_everywhere
from tests.transforms.warehouse.test_lock_handover import finished, ids, running, until
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.compaction import CompactionPolicy, compact
from transforms.warehouse.connection import Warehouse, data_connection, open_warehouse
from transforms.warehouse.data_s3 import S3Data
from transforms.warehouse.erasure import erase_physically
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.location import S3Settings
from transforms.warehouse.maintenance import maintain, remove_orphans
from transforms.warehouse.read import counts, read_table
from transforms.warehouse.scope import conversation_table

pytestmark = pytest.mark.slow

CANARY = "AzzqCanaryZ"
KINDS = ("postgres", "s3", "postgres+s3")
_HEAD = """
import sys, time
from pathlib import Path
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table
folder, name = Path(sys.argv[1]), sys.argv[2]
def add(warehouse, number):
    rows = messages(name, {f"{name}-{number}": "hello"})
    commit(warehouse, [ChangeSet("messages", inserts=rows)])
"""
_RUN = _HEAD + "with open_warehouse(folder, threads=1) as w: add(w, 0)\n"
# Opens for writing, begins a transaction on the catalog, and hangs.
_HANG = (
    _HEAD
    + """
w = open_warehouse(folder, threads=1)
add(w, 0)
w.connection.execute("BEGIN")
w.connection.execute("DELETE FROM messages")
(folder / "ready").touch()
time.sleep(600)
"""
)
# Reads all the time; one row a message, or it says what it saw.
_READ = (
    _HEAD
    + """
with open_warehouse(folder, threads=1, read_only=True) as w:
    seen = 0
    (folder / "ready").touch()
    while seen < int(sys.argv[3]):
        found = read_table(w, "messages").column("message_id").to_pylist()
        assert len(found) == len(set(found)) >= seen, (seen, found)
        assert sorted(found) == sorted(f"w-{i}" for i in range(len(found))), found
        seen = len(found)
print("seen", seen)
"""
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as both:
        yield both


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Place:
    return servers.place(tmp_path / "outside", request.param)


@pytest.fixture
def both(servers: Servers, tmp_path: Path) -> Place:
    return servers.place(tmp_path / "outside", "postgres+s3")


@pytest.fixture
def in_postgres(servers: Servers, tmp_path: Path) -> Place:
    return servers.place(tmp_path / "outside", "postgres")


def fill(warehouse: Warehouse, word: str, conversation: str) -> None:
    rows = one_row_everywhere(word, conversation)
    commit(warehouse, [ChangeSet(name, inserts=table) for name, table in rows.items()])


def remove(warehouse: Warehouse, word: str, conversation: str) -> None:
    """What `fill` wrote: whole conversations, single rows where there are none."""
    scope = conversation_table([("default", conversation)])
    changes = [
        ChangeSet(name, deletes=scope if TABLES[name].per_conversation else _keys(name, rows))
        for name, rows in one_row_everywhere(word, conversation).items()
    ]
    commit(warehouse, changes)


def _keys(name: str, rows: pa.Table) -> pa.Table:
    return rows.select(list(TABLES[name].key))


def test_equal_to_a_warehouse_in_one_folder(place: Place, warehouse: Warehouse) -> None:
    with open_warehouse(place.folder, threads=1) as outside:
        for one in (warehouse, outside):
            fill(one, "first", "c1")
            fill(one, "second", "c2")
            remove(one, "first", "c1")
        assert digest(outside) == digest(warehouse)
        snapshot = outside.current_snapshot()
    with open_warehouse(place.folder, threads=1) as again:
        assert again.current_snapshot() == snapshot
    with open_warehouse(place.folder, threads=1, read_only=True) as reader:
        assert counts(reader) == counts(warehouse)
        assert reader.stores.outside_bytes() > 0
        with pytest.raises(WarehouseError, match="read-only"):
            reader.require_writable()
    there = {path.name for path in place.folder.iterdir()}
    assert ("catalog.sqlite" in there) == (place.database is None)
    assert ("data" in there) == (place.prefix is None)
    if place.prefix is not None:
        assert place.data_files()


def test_upkeep(place: Place) -> None:
    with open_warehouse(place.folder, threads=1) as outside:
        for number in range(12):
            rows = messages("c1", {f"m{number}": "hello"})
            commit(outside, [ChangeSet("messages", inserts=rows)])
        report = compact(outside, CompactionPolicy(merge_from=4))
        assert (report.files_merged, report.files_created) == (12, 1)
        with data_connection(place.folder, threads=1) as worker:
            orphan = f"{outside.data_uri}/main/messages/left-by-a-killed-writer.parquet"
            worker.execute(f"COPY (SELECT 1 AS a) TO '{orphan}'")
        assert remove_orphans(outside) == 1
        assert maintain(outside).files_removed > 0
        assert read_table(outside, "messages").num_rows == 12
        if place.prefix is not None:
            assert len(place.data_files()) == 1


def test_erased_is_in_no_object_and_no_page(place: Place, warehouse: Warehouse) -> None:
    with open_warehouse(place.folder, threads=1) as outside:
        fill(outside, "kept", "c0")
        fill(warehouse, "kept", "c0")
        fill(outside, CANARY, CANARY)
        maintain(outside)
        if place.database is not None:
            sample_statistics(place)
        assert place.leaks(CANARY)
        remove(outside, CANARY, CANARY)
        erase_physically(outside)
        assert digest(outside) == digest(warehouse)
        assert place.leaks(CANARY) == []
        assert place.leaks("kept")
        here = [f for f in place.folder.rglob("*") if f.is_file()]
        assert [f for f in here if CANARY.encode() in f.read_bytes()] == []
        fill(outside, "after", "c1")
        assert counts(outside)["messages"] == 2


def sample_statistics(place: Place) -> None:
    """As autovacuum does: the planner then has copies of values in pg_statistic."""
    with place.servers.postgres.connect(str(place.database)) as connection:
        connection.execute("ANALYZE")
        sampled = connection.execute(
            "SELECT count(*) FROM pg_stats WHERE tablename = 'ducklake_file_column_stats' "
            "AND attname = 'min_value' AND (histogram_bounds::text LIKE %s "
            "OR most_common_vals::text LIKE %s)",
            [f"%{CANARY}%"] * 2,
        ).fetchone()
    assert sampled == (1,)


def test_erasure_reaches_older_versions_and_unfinished_uploads(both: Place) -> None:
    client = both.servers.s3.client()
    name = f"versioned-{os.getpid()}"
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    file = both.folder / "warehouse.yaml"
    file.write_text(file.read_text().replace(f"s3://{BUCKET}/", f"s3://{name}/"))
    with open_warehouse(both.folder, threads=1) as outside:
        fill(outside, "kept", "c0")
        fill(outside, CANARY, CANARY)
        remove(outside, CANARY, CANARY)
        client.create_multipart_upload(Bucket=name, Key=f"{both.prefix}/data/unfinished")
        neighbour = f"{both.prefix}/neighbour"  # What another warehouse is just writing.
        client.create_multipart_upload(Bucket=name, Key=neighbour)
        for key in ("elsewhere", neighbour):
            client.put_object(Bucket=name, Key=key, Body=b"old")
            client.put_object(Bucket=name, Key=key, Body=b"new")
        erase_physically(outside)
        assert read_table(outside, "messages").num_rows == 1
    objects = both.servers.s3.objects(name)
    assert [key for key, content in objects.items() if CANARY.encode() in content] == []
    ours = [key for key in objects if key.startswith(f"{both.prefix}/data/")]
    assert [key for key in ours if "?" in key] == []
    uploads = client.list_multipart_uploads(Bucket=name, Prefix=f"{both.prefix}/")["Uploads"]
    assert [upload["Key"] for upload in uploads] == [neighbour]
    for other in ("elsewhere", neighbour):
        found = sorted(objects[key] for key in objects if key.startswith(other))
        assert found == [b"new", b"old"]


def test_the_data_of_another_warehouse_is_no_place_for_one(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one would sweep the files away as orphans, whoever was there first."""
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-one")  # DuckDB does not look at it either.
    upper, late = servers.place(tmp_path / "upper", "s3"), servers.place(tmp_path / "late", "s3")
    beside = _place_at(servers, tmp_path / "beside", f"{upper.prefix}/inside")
    early = _place_at(servers, tmp_path / "early", f"{late.prefix}/data/inside")
    for folder in (upper.folder, beside, early):
        with open_warehouse(folder, threads=1) as outside:
            fill(outside, "word", "c1")
    with pytest.raises(WarehouseError, match=r"/data/inside belongs to another warehouse"):
        open_warehouse(_place_at(servers, tmp_path / "lower", f"{upper.prefix}/data/inside"))
    with pytest.raises(WarehouseError, match=r"/data is not empty"):
        open_warehouse(late.folder)


def _place_at(servers: Servers, folder: Path, prefix: str) -> Path:
    """A folder whose Parquet is to be below that prefix."""
    place = servers.place(folder, "s3")
    file = folder / "warehouse.yaml"
    file.write_text(file.read_text().replace(f"/{place.prefix}\n", f"/{prefix}\n"))
    return folder


def test_of_two_that_claim_a_prefix_at_once_one_is_refused(
    servers: Servers, tmp_path: Path
) -> None:
    """Both found it empty, and both saw nobody's id."""
    place = servers.place(tmp_path / "p", "s3")
    bucket = S3Data(f"s3://{BUCKET}/{place.prefix}", _settings(servers), place.folder).bucket
    key = f"{place.prefix}/memoryflow-warehouse"
    bucket.create(key, "first")
    bucket.create(key, "second")
    assert bucket.read(key) == "first"


def _settings(servers: Servers) -> S3Settings:
    return S3Settings(endpoint=servers.s3.endpoint, use_ssl=False)


def test_samples_of_tables_that_are_empty_now_are_erased(in_postgres: Place) -> None:
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        fill(outside, CANARY, CANARY)
        sample_statistics(in_postgres)
        remove(outside, CANARY, CANARY)
        erase_physically(outside)
        assert counts(outside)["messages"] == 0
        assert in_postgres.leaks(CANARY) == []
        fill(outside, "after", "c1")
        assert counts(outside)["messages"] == 1


def test_a_transaction_that_sees_deleted_rows_is_told(
    in_postgres: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        fill(outside, CANARY, CANARY)
        remove(outside, CANARY, CANARY)
        with in_postgres.servers.postgres.connect(str(in_postgres.database)) as old:
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1")
            with (
                monkeypatch.context() as patch,
                pytest.raises(WarehouseError, match=r"keeps deleted rows of .*ducklake"),
            ):
                patch.setattr("transforms.warehouse.erasure._CHECKPOINT_WAIT_MS", 2000)
                erase_physically(outside)
            old.execute("COMMIT")
        assert in_postgres.leaks(CANARY)
        erase_physically(outside)
    assert in_postgres.leaks(CANARY) == []


def test_who_does_not_own_the_database_cannot_erase(in_postgres: Place) -> None:
    """Rather than leave the planner's samples: VACUUM would only warn."""
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        with in_postgres.servers.postgres.connect() as admin:
            admin.execute(f"ALTER DATABASE {in_postgres.database} OWNER TO postgres".encode())
        with pytest.raises(WarehouseError, match=r"could not be rewritten.*must own the database"):
            erase_physically(outside)


def test_the_second_writer_waits_or_is_refused(in_postgres: Place) -> None:
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        assert not outside.wanted()
        with pytest.raises(WarehouseError, match=rf"another process \(id {os.getpid()} on "):
            open_warehouse(in_postgres.folder, lock_timeout=0.3)
        open_warehouse(in_postgres.folder, read_only=True).close()
        with running(_RUN, in_postgres.folder, "run") as run:
            until(outside.wanted)
            outside.hand_over(timeout=60)
            finished(run)
        assert not outside.wanted()
        assert ids(outside) == ["run-0"]
        commit(outside, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    open_warehouse(in_postgres.folder, lock_timeout=0.3).close()


def test_a_killed_writer_leaves_the_lock_and_nothing_half_done(both: Place) -> None:
    with running(_HANG, both.folder, "a") as hanging:
        until((both.folder / "ready").exists)
        with pytest.raises(WarehouseError, match=f"id {hanging.pid} on "):
            open_warehouse(both.folder, lock_timeout=0.3)
        hanging.kill()
        hanging.wait(60)
        with open_warehouse(both.folder, threads=1, lock_timeout=60) as outside:
            assert ids(outside) == ["a-0"]


def test_a_cut_off_writer_writes_no_more(in_postgres: Place) -> None:
    """Its lock was lost, another has it: what it had begun is ended, what it tries is refused."""
    first = open_warehouse(in_postgres.folder, threads=1)
    commit(first, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    first.connection.execute("BEGIN")
    first.connection.execute("DELETE FROM messages")
    with in_postgres.servers.postgres.connect() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s AND application_name LIKE 'memoryflow lock %%'",
            [in_postgres.database],
        )
    with open_warehouse(in_postgres.folder, threads=1, lock_timeout=60) as second:
        with pytest.raises(duckdb.Error):
            first.connection.execute("COMMIT")
        with pytest.raises(WarehouseError, match=r"lock was lost.*run the same command again"):
            commit(first, [ChangeSet("messages", inserts=messages("c1", {"m2": "hello"}))])
        # To look for others it connects again, without the lock.
        assert not first.wanted()
        with pytest.raises(WarehouseError, match="lock was lost"):
            maintain(first)
        first.close()
        assert ids(second) == ["m1"]
        commit(second, [ChangeSet("messages", inserts=messages("c1", {"m3": "hello"}))])
        assert ids(second) == ["m1", "m3"]


def test_a_server_that_restarts(in_postgres: Place) -> None:
    """A writer stops with a clear word; opened again it goes on. A reader goes on by itself."""
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        commit(outside, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
        reader = open_warehouse(in_postgres.folder, threads=1, read_only=True)
        assert ids(reader) == ["m1"]
        in_postgres.servers.postgres.restart()
        with pytest.raises(WarehouseError, match="lock was lost"):
            commit(outside, [ChangeSet("messages", inserts=messages("c1", {"m2": "hello"}))])
    with reader:
        try:
            found = ids(reader)
        except WarehouseError as error:
            assert "connection to the catalog's server was lost" in error.what
            reader.reconnect()
            found = ids(reader)
        assert found == ["m1"]
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        commit(outside, [ChangeSet("messages", inserts=messages("c1", {"m2": "hello"}))])
        assert ids(outside) == ["m1", "m2"]


def test_a_reader_beside_a_writer_that_compacts(place: Place) -> None:
    with (
        open_warehouse(place.folder, threads=1) as outside,
        running(_READ, place.folder, "r", 10) as reader,
    ):
        until((place.folder / "ready").exists)
        for number in range(10):
            rows = messages("w", {f"w-{number}": "hello"})
            commit(outside, [ChangeSet("messages", inserts=rows)])
            if number % 4 == 3:
                maintain(outside)
        assert finished(reader) == "seen 10\n"


def test_commits_that_meet_are_tried_again(in_postgres: Place) -> None:
    """Without the lock, which keeps writers apart: the net below it."""
    with open_warehouse(in_postgres.folder, threads=1) as outside:
        stores = outside.stores
        others = [
            Warehouse(stores, read_only=False, threads=1, memory_limit=None, lock=None)
            for _ in range(3)
        ]
        failures: list[BaseException] = []

        def write(number: int, warehouse: Warehouse) -> None:
            try:
                for turn in range(8):
                    rows = messages(f"c{number}", {f"{number}-{turn}": "hello"})
                    commit(warehouse, [ChangeSet("messages", inserts=rows)])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=pair) for pair in enumerate(others)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        for other in others:
            other.disconnect()
        assert failures == []
        assert len(set(ids(outside))) == 24


def test_another_warehouse_is_not_taken_over(both: Place, tmp_path: Path) -> None:
    with open_warehouse(both.folder, threads=1) as outside:
        fill(outside, "kept", "c0")
    files = both.data_files()
    text = (both.folder / "warehouse.yaml").read_text().splitlines()
    copies = {
        "all": text,
        "data": text[1:],
        "catalog": text[:1],
    }
    for name, lines in copies.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "warehouse.yaml").write_text("\n".join(lines))
        with pytest.raises(WarehouseError, match="belongs to another warehouse"):
            open_warehouse(folder, threads=1)
    assert both.data_files() == files
    # The folder is lost, address and id are not.
    found = (both.folder / "warehouse.id").read_text()
    (tmp_path / "all" / "warehouse.id").write_text(found)
    with open_warehouse(tmp_path / "all", threads=1) as restored:
        assert counts(restored)["facts"] == 1


def test_what_another_program_has_there_is_not_taken_over(both: Place) -> None:
    client = both.servers.s3.client()
    client.put_object(Bucket=BUCKET, Key=f"{both.prefix}/data/table/theirs.parquet", Body=b"rows")
    with pytest.raises(WarehouseError, match=r"not empty.*theirs\.parquet"):
        open_warehouse(both.folder)
    assert len(both.data_files()) == 1
    client.delete_object(Bucket=BUCKET, Key=f"{both.prefix}/data/table/theirs.parquet")
    with both.servers.postgres.connect(str(both.database)) as connection:
        connection.execute("DROP TABLE memoryflow_warehouse")
        connection.execute("CREATE TABLE ducklake_metadata (key text)")
    with pytest.raises(WarehouseError, match=r"not empty.*ducklake_metadata"):
        open_warehouse(both.folder)


def test_the_file_does_not_go_away(place: Place) -> None:
    open_warehouse(place.folder, threads=1).close()
    (place.folder / "warehouse.yaml").unlink()
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match=r"built with its .*Restore warehouse\.yaml"):
            open_warehouse(place.folder, read_only=read_only)


def test_killed_while_it_was_made(both: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("transforms.warehouse.catalog._write_marker", killed)
        open_warehouse(both.folder)
    with open_warehouse(both.folder, threads=1) as outside:
        assert set(counts(outside).values()) == {0}


ERRORS = {
    "no password": r"no password supplied.*PGPASSWORD",
    "wrong password": r"password authentication failed.*Check user and PGPASSWORD",
    "no database": r'"nowhere" does not exist.*createdb',
    "no server": r"Connection refused.*host and port",
    "no bucket": r"NoSuchBucket.*Create the bucket",
    "wrong secret": r"SignatureDoesNotMatch.*Check the keys",
    "no endpoint": r"object store cannot be reached.*s3\.endpoint",
}


@pytest.mark.parametrize("mistake", ERRORS)
def test_what_cannot_be_reached_is_named(
    both: Place, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = both.folder / "warehouse.yaml"
    text = file.read_text()
    edits = {
        "no database": (f"dbname={both.database}", "dbname=nowhere"),
        "no server": (f"port={both.servers.postgres.port}", "port=1"),
        "no bucket": (f"s3://{BUCKET}/", "s3://nowhere/"),
        "no endpoint": (both.servers.s3.endpoint, "127.0.0.1:1"),
    }
    if mistake in edits:
        file.write_text(text.replace(*edits[mistake]))
    if mistake == "no password":
        monkeypatch.delenv("PGPASSWORD")
    if mistake == "wrong password":
        monkeypatch.setenv("PGPASSWORD", "wr0ng-Pass")
    if mistake == "wrong secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng-Pass")
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=ERRORS[mistake]) as error:
        open_warehouse(both.folder)
    assert time.monotonic() - started < 60
    told = str(error.value)
    assert not any(secret in told for secret in (PASSWORD, SECRET, "wr0ng-Pass"))


def test_readers_are_told_too(both: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_warehouse(both.folder, threads=1) as outside:
        fill(outside, "kept", "c0")
    with monkeypatch.context() as patch:
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(WarehouseError, match="AWS_SECRET_ACCESS_KEY is not set"):
            open_warehouse(both.folder, read_only=True)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng-Pass")
        with (
            open_warehouse(both.folder, read_only=True) as reader,
            pytest.raises(WarehouseError, match="object store refuses access") as error,
        ):
            reader.rows("SELECT count(*), max(text) FROM messages")
        assert "wr0ng-Pass" not in str(error.value)
    file = both.folder / "warehouse.yaml"
    file.write_text(file.read_text().replace(both.servers.s3.endpoint, "127.0.0.1:1"))
    with (
        open_warehouse(both.folder, read_only=True) as reader,
        pytest.raises(WarehouseError, match="object store cannot be reached"),
    ):
        reader.rows("SELECT count(*), max(text) FROM messages")


def test_keys_are_for_the_prefix_alone(both: Place) -> None:
    """Even an unfenced connection has no key for what is beside the warehouse."""
    client = both.servers.s3.client()
    client.put_object(Bucket=BUCKET, Key="team/other.csv", Body=b"a\n1\n")
    with open_warehouse(both.folder, threads=1) as outside:
        with pytest.raises(Exception, match=r"(?i)http|resolve|connect"):
            outside.connection.execute(f"FROM read_csv('s3://{BUCKET}/team/other.csv')").fetchall()
        secrets = str(outside.connection.execute("FROM duckdb_secrets()").fetchall())
        assert f"s3://{BUCKET}/{both.prefix}/" in secrets
        assert SECRET not in secrets


def test_a_login_from_a_service_file(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = servers.place(tmp_path / "w", "postgres")
    monkeypatch.delenv("PGPASSWORD")
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{servers.postgres.port}:*:{OWNER}:{PASSWORD}\n")
    passwords.chmod(0o600)
    service = tmp_path / "service.conf"
    words = servers.postgres.words(str(place.database), OWNER).replace(" ", "\n")
    service.write_text(f"[memory]\n{words}\npassfile={passwords}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    (place.folder / "warehouse.yaml").write_text('catalog: "postgres:service=memory"\n')
    with open_warehouse(place.folder, threads=1) as outside:
        assert outside.stores.variables == ("PGSERVICEFILE",)
        fill(outside, "kept", "c0")
    with open_warehouse(place.folder, threads=1, read_only=True) as reader:
        assert read_table(reader, "facts").num_rows == 1


def test_nothing_is_written_to_home(both: Place, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(both.folder), "run"],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path.cwd())},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [*home.iterdir()] == []


def test_connections_end_with_the_warehouse(in_postgres: Place) -> None:
    def connections() -> int:
        with in_postgres.servers.postgres.connect() as admin:
            found = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [in_postgres.database]
            ).fetchone()
        assert found is not None
        return int(str(found[0]))

    with open_warehouse(in_postgres.folder, threads=1) as outside:
        fill(outside, "kept", "c0")
        assert 1 < connections() <= 6
    until(lambda: connections() == 0)


def test_who_waits_and_dies_wants_nothing(in_postgres: Place) -> None:
    wait = _HEAD + "open_warehouse(folder, threads=1, lock_timeout=60)\n"
    with (
        open_warehouse(in_postgres.folder, threads=1) as outside,
        running(wait, in_postgres.folder, "wait") as waiter,
    ):
        until(outside.wanted)
        waiter.kill()
        waiter.wait(60)
        until(lambda: not outside.wanted())
