"""The Parquet files below a prefix of an S3-compatible object store.

DuckDB reads and writes them with a secret that is kept in memory, and that counts for this prefix
alone: with it no query reaches another bucket, whatever else it is allowed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import duckdb

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import LOCATION_FILE, foreign, in_use
from transforms.warehouse.location import S3Settings
from transforms.warehouse.s3_bucket import Bucket
from transforms.warehouse.scope import literal

_DATA_DIR = "data"
_OWNER_OBJECT = "memoryflow-warehouse"
_SECRET = "memoryflow_data"
# DuckDB would use persistent secrets of the user's; from a folder that is not there it reads none.
_NO_FOLDER = "memoryflow-no-secrets"


class S3Data:
    """A `DataStore`; `prefix` is s3://BUCKET[/PREFIX]."""

    extensions: tuple[str, ...] = ("httpfs",)

    def __init__(self, prefix: str, settings: S3Settings, folder: Path) -> None:
        self._prefix = prefix
        self._settings = settings
        self._warehouse = folder
        self._bucket: Bucket | None = None

    @property
    def uri(self) -> str:
        """The prefix of the Parquet files."""
        return f"{self._prefix}/{_DATA_DIR}"

    @property
    def folder(self) -> Path:
        """There is none: WarehouseError."""
        raise WarehouseError("the data is not in a folder", self.uri, "Ask for data_uri.")

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See `DataStore`."""
        secrets = self._secrets()
        settings = self._settings
        options = {
            "KEY_ID": literal(secrets[settings.key_id_env]),
            "SECRET": literal(secrets[settings.secret_env]),
            "REGION": literal(settings.region),
            "URL_STYLE": literal(settings.style),
            "USE_SSL": str(settings.use_ssl).lower(),
            "SCOPE": literal(f"{self._prefix}/"),
        }
        if settings.endpoint:
            options["ENDPOINT"] = literal(settings.endpoint)
        if settings.session_token_env:
            options["SESSION_TOKEN"] = literal(secrets[settings.session_token_env])
        named = ", ".join(f"{name} {value}" for name, value in options.items())
        connection.execute(f"SET secret_directory = {literal(str(self._warehouse / _NO_FOLDER))}")
        try:
            connection.execute(f"CREATE TEMPORARY SECRET {_SECRET} (TYPE s3, {named})")
        except duckdb.Error:
            # Without the cause, whose message may repeat the statement.
            raise WarehouseError(
                "DuckDB does not take the keys of the object store",
                self._warehouse / LOCATION_FILE,
                f"Check {' and '.join(settings.variables)}.",
            ) from None

    def claim(self, identity: str) -> None:
        """See `DataStore`."""
        key = f"{self._key_prefix}{_OWNER_OBJECT}"
        owner = self.bucket.read(key)
        if owner is None:
            self._require_unused()
            self._require_outside()
            self.bucket.create(key, f"{identity}\n")
            owner = self.bucket.read(key) or ""
        if owner.strip() != identity:
            raise foreign(self._prefix, owner.strip(), self._warehouse)

    def file_names(self) -> set[str]:
        """See `DataStore`."""
        keys = (key for key, _ in self.bucket.objects(f"{_DATA_DIR}/"))
        return {key.rsplit("/", 1)[-1] for key in keys if key.endswith(".parquet")}

    def scrub(self) -> None:
        """See `DataStore`: older versions and unfinished uploads go."""
        self.bucket.remove_hidden(f"{_DATA_DIR}/")

    def outside_bytes(self) -> int:
        """All Parquet files; lists them."""
        return sum(size for _, size in self.bucket.objects(f"{_DATA_DIR}/"))

    @property
    def bucket(self) -> Bucket:
        """The bucket, for what DuckDB cannot ask."""
        if self._bucket is None:
            name = self._prefix.removeprefix("s3://").split("/", 1)[0]
            self._bucket = Bucket(
                name,
                self._key_prefix,
                self._settings,
                self._secrets(),
                self._warehouse / LOCATION_FILE,
            )
        return self._bucket

    @property
    def _key_prefix(self) -> str:
        _, _, prefix = self._prefix.removeprefix("s3://").partition("/")
        return f"{prefix}/" if prefix else ""

    def _require_unused(self) -> None:
        """WarehouseError where something is there already: upkeep would take it for orphans."""
        for key, _ in self.bucket.objects(f"{_DATA_DIR}/"):
            raise in_use(self.uri, key.rsplit("/", 1)[-1], self._warehouse)

    def _require_outside(self) -> None:
        """WarehouseError below the `data/` of another warehouse, which would sweep ours away."""
        parts = self._key_prefix.split("/")
        for place, part in enumerate(parts):
            above = "/".join([*parts[:place], _OWNER_OBJECT])
            if part == _DATA_DIR and (owner := self.bucket.read(above, lenient=True)):
                raise foreign(self._prefix, owner.strip(), self._warehouse)

    def _secrets(self) -> dict[str, str]:
        return _required(os.environ, self._settings.variables, self._prefix, self._warehouse)


def _required(
    environment: Mapping[str, str], names: tuple[str, ...], what: str, folder: Path
) -> dict[str, str]:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise WarehouseError(
            f"environment variable {missing[0]} is not set; it is needed for {what}",
            folder / LOCATION_FILE,
            "Export it, on every node, or name another one in `s3`.",
        )
    return {name: environment[name] for name in names}
