"""Where a warehouse keeps its catalog and its Parquet: DIR/warehouse.yaml, if it is there.

    catalog: "postgres:host=db dbname=memory user=memory"
    data: "s3://bucket/prefix"
    s3: {endpoint: "minio:9000", url_style: path, use_ssl: false}

Without the file the catalog is DIR/catalog.sqlite and the Parquet is in DIR/data. Secrets are
never in it: the password of PostgreSQL comes from where libpq looks (PGPASSWORD, PGPASSFILE, a
service file), the keys of S3 from the environment variables that it names.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import LOCATION_FILE

SQLITE = "sqlite"
LOCAL = "local"
POSTGRES_PREFIX = "postgres:"
_MAX_BYTES = 64 * 1024
_EXAMPLE = 'for instance "postgres:host=db port=5432 dbname=memory user=memory"'
_SECRETS_ELSEWHERE = (
    "The password comes from PGPASSWORD, PGPASSFILE or a service file, S3 keys from the "
    "environment variables named by key_id_env and secret_env."
)
# Keys that people try; whatever stands there is never repeated.
_SECRET_WORDS = ("pass", "secret", "token", "key")
_S3_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=][A-Za-z0-9._=-]*)*/?")

# Upper case, so that a key that was pasted here is refused rather than looked up.
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$", strict=True)]


def _host_and_port(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.\-\[\]:_]+", text):
        raise ValueError("give HOST:PORT without scheme or path; use_ssl says http or https")
    return text


class S3Settings(BaseModel):
    """How the object store is reached; the defaults are those of AWS."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    endpoint: Annotated[str, AfterValidator(_host_and_port)] | None = None
    """HOST:PORT of a server that is not AWS."""
    url_style: Literal["path", "vhost"] | None = None
    """`path`: HOST/BUCKET (default with an endpoint); `vhost`: BUCKET.HOST."""
    use_ssl: bool = True
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    key_id_env: EnvironmentName = "AWS_ACCESS_KEY_ID"
    secret_env: EnvironmentName = "AWS_SECRET_ACCESS_KEY"
    session_token_env: EnvironmentName | None = None

    @property
    def style(self) -> Literal["path", "vhost"]:
        """The url style that applies."""
        return self.url_style or ("path" if self.endpoint else "vhost")

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that must be set."""
        named = (self.key_id_env, self.secret_env, self.session_token_env)
        return tuple(name for name in named if name)


def _catalog(text: str) -> str:
    if text == SQLITE:
        return text
    if not text.startswith(POSTGRES_PREFIX):
        raise ValueError(f"is neither {SQLITE!r} nor words for PostgreSQL, {_EXAMPLE}")
    _refuse_password(text.removeprefix(POSTGRES_PREFIX))
    return text


def _refuse_password(words: str) -> None:
    if re.search(r"pass(word|wd)\s*=", words, re.IGNORECASE) or _uri_password(words):
        raise ValueError(f"no password may stand here. {_SECRETS_ELSEWHERE}")


def _uri_password(words: str) -> bool:
    """Whether it is a URI with a password; one that cannot be read may have one."""
    try:
        return "://" in words and urlsplit(words).password is not None
    except ValueError:
        return True


def _data(text: str) -> str:
    if text != LOCAL and not _S3_URI.fullmatch(text):
        raise ValueError(f"is neither {LOCAL!r} nor of the form s3://BUCKET/PREFIX")
    return text.rstrip("/")


class Location(BaseModel):
    """Where catalog and Parquet are; all else is in the folder of the warehouse."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    catalog: Annotated[str, AfterValidator(_catalog)] = SQLITE
    """`sqlite`, or `postgres:` and libpq's words for a database of this warehouse alone."""
    data: Annotated[str, AfterValidator(_data)] = LOCAL
    """`local` (DIR/data), or s3://BUCKET/PREFIX, a prefix of this warehouse alone."""
    s3: S3Settings | None = None

    @model_validator(mode="after")
    def _s3_where_it_belongs(self) -> Self:
        if self.s3 is not None and self.data == LOCAL:
            raise ValueError("s3 is given, but data is not in S3")
        return self

    @property
    def in_postgres(self) -> bool:
        """Whether the catalog is in PostgreSQL."""
        return self.catalog != SQLITE

    @property
    def words(self) -> str:
        """What libpq is told; only with the catalog in PostgreSQL."""
        return self.catalog.removeprefix(POSTGRES_PREFIX)

    @property
    def in_s3(self) -> bool:
        """Whether the Parquet is in an object store."""
        return self.data != LOCAL

    @property
    def kinds(self) -> dict[str, str]:
        """What the marker says of it; nothing for the default."""
        kinds = {"catalog": "postgres"} if self.in_postgres else {}
        return kinds | ({"data": "s3"} if self.in_s3 else {})

    @property
    def s3_settings(self) -> S3Settings:
        """Those of the file, else the defaults."""
        return self.s3 or S3Settings()

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that a process needs, or may need, to open the warehouse.

        Those of PostgreSQL only where they are set: there are other ways to log in.
        """
        libpq = ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE")
        found = [name for name in libpq if self.in_postgres and name in os.environ]
        return (*found, *(self.s3_settings.variables if self.in_s3 else ()))


def load_location(folder: Path) -> Location:
    """What DIR/warehouse.yaml says; the default where there is none.

    WarehouseError names the file, the field and the remedy, and repeats no value.
    """
    file = folder / LOCATION_FILE
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Location()
    except OSError as error:
        raise WarehouseError(
            f"cannot be read: {error.strerror}", file, "Check its permissions."
        ) from error
    content = _parsed(data, file)
    try:
        return Location.model_validate(content)
    except ValidationError as error:
        # Without the cause: pydantic's own message repeats the input.
        raise _explained(error, file) from None


def _parsed(data: bytes, file: Path) -> Mapping[str, Any]:
    if len(data) > _MAX_BYTES:
        raise WarehouseError("is too large", file, "See docs/warehouses.md for an example.")
    try:
        content = yaml.safe_load(data)
    # ValueError: of a date that is none; RecursionError: of too many brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else "the file"
        raise WarehouseError(
            f"{where} is not YAML", file, "Words with ':' or '=' belong in quotes."
        ) from None
    if not isinstance(content, dict) or not content:
        raise WarehouseError(
            "says nothing", file, "Give `catalog` or `data`, see docs/warehouses.md, or remove it."
        )
    return content


def _explained(error: ValidationError, file: Path) -> WarehouseError:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    fix = "See docs/warehouses.md."
    if problem["type"] == "extra_forbidden":
        message = "there is no such field"
        names = S3Settings.model_fields if field.startswith("s3.") else Location.model_fields
        fix = f"Known are {', '.join(names)}."
        if any(word in field.lower() for word in _SECRET_WORDS):
            fix = f"Secrets never stand in this file. {_SECRETS_ELSEWHERE}"
    elif field.endswith("_env") and problem["type"] == "string_pattern_mismatch":
        message = "is not the name of an environment variable (upper case)"
        fix = f"Secrets never stand in this file. {_SECRETS_ELSEWHERE}"
    return WarehouseError(f"{field}: {message}" if field else message, file, fix)
