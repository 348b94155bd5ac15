"""warehouse.yaml: what it says, and what is refused without repeating a secret."""

from pathlib import Path

import duckdb
import pytest
import stamina

from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.data_s3 import S3Data
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import ensure_identity
from transforms.warehouse.location import Location, S3Settings, load_location
from transforms.warehouse.postgres import PostgresAddress
from transforms.warehouse.retry import with_retry
from transforms.warehouse.s3_bucket import Bucket
from transforms.warehouse.stores import stores_of

SECRET = "Tr0ub4dor"
FULL = """
catalog: "postgres:host=db port=5433 dbname=memory user=memory"
data: "s3://bucket/a/prefix/"
s3: {endpoint: "127.0.0.1:9000", use_ssl: false, key_id_env: MY_ID, secret_env: MY_KEY}
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "warehouse.yaml").write_text(text)
    return folder


def test_without_a_file_all_is_in_the_folder(folder: Path) -> None:
    location = load_location(folder)
    assert location == Location()
    assert (location.in_postgres, location.in_s3) == (False, False)
    assert (location.kinds, location.variables) == ({}, ())


def test_all_fields(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/run/secrets/pg")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("MY_ID", "id")
    monkeypatch.setenv("MY_KEY", SECRET)
    location = load_location(write(folder, FULL))
    assert location.kinds == {"catalog": "postgres", "data": "s3"}
    assert location.variables == ("PGPASSFILE", "MY_ID", "MY_KEY")
    assert location.s3_settings.style == "path"
    stores = stores_of(folder)
    assert stores.data.uri == "s3://bucket/a/prefix/data"
    assert stores.catalog.where == "PostgreSQL host=db port=5433 dbname=memory"
    assert SECRET not in str(stores.catalog.source(read_only=False))


def test_aws_needs_no_endpoint(folder: Path) -> None:
    settings = load_location(write(folder, "data: s3://bucket\n")).s3_settings
    assert (settings.endpoint, settings.style, settings.use_ssl) == (None, "vhost", True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f'catalog: "postgres:host=db password={SECRET}"', r"catalog: no password.*PGPASSWORD"),
        (f'catalog: "postgres:host=db PASSWORD = {SECRET}"', "catalog: no password"),
        (f'catalog: "postgres:postgresql://me:{SECRET}@db/x"', "catalog: no password"),
        (f'catalog: "postgres:host=db sslpassword={SECRET}"', "catalog: no password"),
        (
            f'catalog: "postgres:host=db oauth_client_secret={SECRET}"',
            "catalog: oauth_client_secret",
        ),
        (f'catalog: "postgres:host=db scram_client_key={SECRET}"', "catalog: scram_client_key"),
        (f'catalog: "postgres:host=db {SECRET}"', "catalog: .* not those of libpq"),
        (f'catalog: "mysql:{SECRET}"', "catalog: is neither 'sqlite' nor"),
        (f"data: /srv/{SECRET}", "data: is neither 'local' nor"),
        (f"data: s3://bucket/../{SECRET}", "data: is neither"),
        (f"data: s3://bucket/*{SECRET}", "data: is neither"),
        (f"password: {SECRET}", "password: there is no such field.*Secrets never"),
        (f"data: s3://b-1\ns3: {{secret: {SECRET}}}", r"s3\.secret: .* Secrets never"),
        (f"data: s3://b-1\ns3: {{secret_env: {SECRET}}}", r"s3\.secret_env: is not the name"),
        (f"data: s3://b-1\ns3: {{endpoint: 'http://{SECRET}/'}}", r"s3\.endpoint: give HOST:PORT"),
        ("data: s3://b-1\ns3: {url_style: odd}", r"s3\.url_style: .*'path' or 'vhost'"),
        ("data: s3://b-1\ns3: {use_ssl: 1}", r"s3\.use_ssl"),
        ("datta: s3://b-1", "datta: there is no such field.*Known are catalog, data, s3"),
        ("s3: {use_ssl: false}", "s3 is given, but data is not in S3"),
        ("catalog: [", "line 1 is not YAML"),
        ("catalog: 2025-99-99", "is not YAML"),
        ("[" * 9000, "is not YAML"),
        ("", "says nothing"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_mistakes(folder: Path, text: str, complaint: str, read_only: bool) -> None:
    write(folder, text)
    with pytest.raises(WarehouseError, match=complaint) as error:
        open_warehouse(folder, read_only=read_only)
    assert "warehouse.yaml" in str(error.value)
    assert SECRET not in str(error.value)
    assert [p.name for p in folder.iterdir()] == ["warehouse.yaml"]


def test_a_missing_variable_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_ID", "id")
    monkeypatch.delenv("MY_KEY", raising=False)
    write(folder, "data: s3://bucket/x\ns3: {key_id_env: MY_ID, secret_env: MY_KEY}")
    with pytest.raises(WarehouseError, match=r"variable MY_KEY is not set.*Export it"):
        open_warehouse(folder)


def test_the_file_comes_before_the_first_run(folder: Path) -> None:
    open_warehouse(folder).close()
    write(folder, FULL)
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match=r"built with its catalog in sqlite.*postgres"):
            open_warehouse(folder, read_only=read_only)
    write(folder, "catalog: sqlite\ndata: local\n")
    open_warehouse(folder).close()
    (folder / "warehouse.yaml").unlink()
    open_warehouse(folder, read_only=True).close()


def test_an_id_is_given_once(folder: Path) -> None:
    folder.mkdir()
    first = ensure_identity(folder)
    assert len(first) == 32
    assert ensure_identity(folder) == first
    assert [p.name for p in folder.iterdir()] == ["warehouse.id"]


def test_conflicts_in_postgres_are_tried_again() -> None:
    messages = [
        'Failed to commit: ERROR: could not serialize access due to concurrent update "x"',
        "Failed to execute: ERROR:  deadlock detected",
    ]

    def once() -> int:
        if messages:
            raise duckdb.TransactionException(messages.pop())
        return 1

    with stamina.set_testing(True, attempts=20):
        assert with_retry(once) == 1


def test_the_address_is_that_of_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DuckDB goes: it does not know the variables of the AWS tools."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere:1")
    secrets = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET}
    bucket = Bucket("bucket", "", S3Settings(), secrets, Path("warehouse.yaml"))
    assert "elsewhere" not in bucket._client.meta.endpoint_url


def test_a_prefix_with_files_of_others_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upkeep would sweep them away as orphans; what is beside the data is no matter."""
    written: dict[str, str] = {}
    there = ["team/data/logs.parquet"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setattr(Bucket, "read", lambda _, key, **__: written.get(key))
    monkeypatch.setattr(Bucket, "create", lambda _, key, text: written.update({key: text}))
    monkeypatch.setattr(
        Bucket,
        "_pages",
        lambda _, __, below: [
            {"Contents": [{"Key": k, "Size": 1} for k in there if k.startswith(f"team/{below}")]}
        ],
    )
    data = S3Data("s3://bucket/team", S3Settings(), folder)
    with pytest.raises(WarehouseError, match=r"s3://bucket/team/data is not empty.*logs\.parquet"):
        data.claim("ours")
    assert written == {}
    there[:] = ["team/other/logs.parquet"]
    data.claim("ours")
    there.append("team/data/ours.parquet")
    data.claim("ours")
    assert data.file_names() == {"ours.parquet"}


def test_a_reader_in_the_way_of_erasure_is_not_taken_for_a_server_that_is_down() -> None:
    address = PostgresAddress("host=db", Path("warehouse.yaml"))
    told = str(address.failure("canceling statement due to lock timeout"))
    assert "Close readers of the warehouse" in told
    assert "Check that the server runs" not in told
