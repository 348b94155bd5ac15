"""The sample log into PostgreSQL and S3: digest of a local build; search, SQL, forget, kills."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.sql import SqlError, SqlSession
from tests.jobs.builds import build_here, digest_at, pipeline_copy, rows_at, sample_lines, write_log
from tests.jobs.processes import Finished, cli, running
from tests.servers.places import BUCKET, Place, Servers, running_servers
from tests.servers.postgres import PASSWORD
from tests.servers.s3 import SECRET
from transforms.warehouse.connection import METADATA, open_warehouse

pytestmark = pytest.mark.slow

STAGE_MIB = 0.008
"""Of a slice's tables only the largest, so that the workers do write, but few files."""
CANARY = "Qzzwarbleford"
LINES = sample_lines(per_log=24)
ERASED = [
    line | {"conversation_id": CANARY, "message_id": f"{CANARY}-{n}", "text": f"{text} {CANARY}"}
    for n, (line, text) in enumerate(
        zip(LINES[:3], ("I live in", "I moved away from", "My friends call me"), strict=True)
    )
]


@dataclass(frozen=True)
class Work:
    """A pipeline with small slices, two logs, and a local build of the first."""

    folder: Path
    servers: Servers

    def run(self, warehouse: Path, log: str = "log.jsonl") -> list[object]:
        options = ["--workers", 1, "--commit-mib", 0.01, "--stage-mib", STAGE_MIB, "--json"]
        return [
            "run",
            self.folder / "p.yaml",
            "--input",
            self.folder / log,
            "-w",
            warehouse,
            *options,
        ]


def done(*arguments: object) -> Finished:
    finished = cli(*arguments)
    assert finished.code == 0, finished.stderr
    told = finished.stdout + finished.stderr
    assert PASSWORD not in told
    assert SECRET not in told
    return finished


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Iterator[Work]:
    folder = tmp_path_factory.mktemp("cluster")
    pipeline_copy(folder / "p.yaml", (r"slice_chars: \S+", "slice_chars: 1000"))
    log = write_log(folder / "log.jsonl", LINES)
    write_log(folder / "more.jsonl", [*LINES, *ERASED])
    build_here(folder / "local", log, pipeline=folder / "p.yaml")
    with running_servers() as servers:
        yield Work(folder, servers)


@pytest.fixture(scope="module")
def built(work: Work) -> Place:
    """Killed at its second commit, then run to its end."""
    place = work.servers.place(work.folder / "outside", "postgres+s3")
    with running(*work.run(place.folder)) as run:
        run.wait_for_line("^commit 2: writing")
        run.kill()
    done(*work.run(place.folder))
    return place


def test_killed_and_run_again_it_equals_a_local_build(work: Work, built: Place) -> None:
    assert digest_at(built.folder) == digest_at(work.folder / "local")
    assert not (built.folder / "data").exists()


def test_what_the_workers_wrote_is_in_the_bucket_and_registered(built: Place) -> None:
    with open_warehouse(built.folder, read_only=True) as opened:
        paths = opened.rows(f"SELECT path FROM {METADATA}.ducklake_data_file")
    registered = {path.rsplit("/", 1)[-1] for (path,) in paths}
    written = {key.rsplit("/", 1)[-1] for key in built.data_files()}
    assert [name for name in registered if name.startswith("staged-")]
    assert registered <= written


def test_a_second_run_changes_nothing(work: Work, built: Place) -> None:
    def snapshot() -> int:
        with open_warehouse(built.folder, read_only=True) as opened:
            return opened.current_snapshot()

    before = snapshot()
    assert json.loads(done(*work.run(built.folder)).stdout)["skipped"]
    assert snapshot() == before


def test_search_and_status(work: Work, built: Place) -> None:
    question = rows_at(built.folder, "facts", "text")[0][0]
    answers = [
        json.loads(done("search", question, "-w", folder, "--json").stdout)
        for folder in (work.folder / "local", built.folder)
    ]
    assert answers[0] == answers[1]
    storage = json.loads(done("status", "-w", built.folder, "--json").stdout)["storage"]
    assert storage["disk_bytes"] > storage["live_bytes"] > 0


def test_sql_reaches_the_tables_and_nothing_else(
    built: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, outside = built.servers.s3, f"s3://{BUCKET}/team/secret.csv"
    server.client().put_object(Bucket=BUCKET, Key="team/secret.csv", Body=b"a\n1\n")
    data = f"s3://{BUCKET}/{built.prefix}/data"
    readers = ("read_csv", "read_text", "read_blob", "read_json", "glob", "read_parquet")
    attacks = [f"FROM {reader}('{outside}')" for reader in readers]
    attacks += [
        f"FROM read_text('http://{server.endpoint}/{BUCKET}/team/secret.csv')",
        "FROM read_text('/etc/hostname')",
        f"FROM glob('s3://{BUCKET}/**')",
        f"FROM read_text('s3://{BUCKET}/{built.prefix}/memoryflow-warehouse')",
        f"COPY (SELECT 1) TO 's3://{BUCKET}/team/x.csv'",
        "ATTACH 'host=127.0.0.1' AS p (TYPE postgres)",
    ]
    guarded = [
        *attacks,
        f"FROM '{outside}'",
        f"FROM '{data}/../../../team/secret.csv'",
        f"COPY (SELECT 1) TO '{data}/x.csv'",
        "FROM duckdb_secrets()",
        "FROM which_secret('s3://lake/x', 's3')",
        "CREATE SECRET x (TYPE s3, KEY_ID 'a', SECRET 'b')",
        "FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')",
        "FROM postgres_scan('host=127.0.0.1', 'public', 'x')",
        "FROM __ducklake_metadata_lake.ducklake_metadata",
        "FROM __ducklake_metadata_lake.public.ducklake_metadata",
        "SELECT getenv('PGPASSWORD')",
    ]
    with SqlSession(built.folder, threads=1) as session:
        expected = session.execute("SELECT count(*) AS n FROM messages").to_pylist()
        assert expected == [{"n": len(LINES)}]
        for query in guarded:
            with pytest.raises(SqlError):
                session.execute(query)
        # Without the first fence.
        connection = session._warehouse.connection
        for query in attacks:
            with pytest.raises(Exception, match=r"(?i)disabled|denied|not allowed"):
                connection.execute(query).fetchall()
        assert session.execute("SELECT count(*) AS n FROM messages").to_pylist() == expected


def test_forgotten_is_never_ingested(work: Work, built: Place) -> None:
    done(*work.run(built.folder, "more.jsonl"))
    assert built.leaks(CANARY)
    report = json.loads(
        done("forget", "-w", built.folder, "--conversation", CANARY, "--json").stdout
    )
    assert report["messages"] == len(ERASED)
    assert digest_at(built.folder) == digest_at(work.folder / "local")
    assert built.leaks(CANARY) == []
    kept = [file for file in built.folder.rglob("*") if file.is_file()]
    assert [file for file in kept if CANARY.encode() in file.read_bytes()] == []
