"""What DuckDB cannot ask of an object store: does the bucket answer, what is hidden in it.

Through boto3, for writers only: readers need DuckDB alone.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.location import S3Settings
from transforms.warehouse.postgres import missing_package

_ATTEMPTS = 4
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_PAGE = 1000
_MISSING = ("404", "NoSuchKey", "NotFound")
_NOT_SUPPORTED = ("NotImplemented", "MethodNotAllowed", "501")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_DENIED = ("AccessDenied", "403", "Forbidden")
_FIXES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("NoSuchBucket",), "Create the bucket, or correct `data`."),
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
        "Check the keys in the environment variables that `s3` names.",
    ),
    (
        _DENIED,
        "Let these keys list, read, write and delete below the prefix, and read the versioning "
        "of the bucket.",
    ),
    (("PermanentRedirect", "301", "AuthorizationHeaderMalformed"), "Correct `s3.region`."),
)


class Bucket:
    """Objects of one bucket below a prefix."""

    def __init__(
        self, name: str, prefix: str, settings: S3Settings, secrets: dict[str, str], file: Path
    ) -> None:
        self.name, self.prefix, self._file = name, prefix, file
        self._client = _client(settings, secrets, file)

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}"

    def read(self, key: str, *, lenient: bool = False) -> str | None:
        """Content of a small object; None if it is not there, or `lenient` and not for us."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        unseen = (*_MISSING, *(_DENIED if lenient else ()))
        with self._failures():
            try:
                return self._client.get_object(Bucket=self.name, Key=key)["Body"].read().decode()
            except ClientError as error:
                if _code(error) in unseen:
                    return None
                raise

    def create(self, key: str, content: str) -> None:
        """Write a small object unless there is one; read it to see whose it is.

        Where a server knows no conditions the last writer wins.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415

        put = {"Bucket": self.name, "Key": key, "Body": content.encode()}
        with self._failures():
            try:
                self._client.put_object(**put, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in _NOT_SUPPORTED:
                    self._client.put_object(**put)
                elif _code(error) not in _TAKEN:
                    raise

    def objects(self, below: str) -> Iterator[tuple[str, int]]:
        """Key and size of every object `below` the prefix; a request for a thousand."""
        for page in self._pages("list_objects_v2", below):
            for entry in page.get("Contents", ()):
                yield str(entry["Key"]), int(entry["Size"])

    def remove_hidden(self, below: str) -> int:
        """Remove what listing does not show: older versions, deletion marks, unfinished uploads.

        `below`: a folder of the prefix. Returns how many; WarehouseError: some cannot be
        removed (retention, missing rights).
        """
        versions = self._remove_versions(below) if self._versioned() else 0
        return self._abort_uploads(below) + versions

    def _versioned(self) -> bool:
        """Whether it ever kept versions; they stay when versioning is suspended."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        with self._failures():
            try:
                answer = self._client.get_bucket_versioning(Bucket=self.name)
            except ClientError as error:
                if _code(error) in _NOT_SUPPORTED:  # A server that knows no versions.
                    return False
                raise
        return "Status" in answer

    def _remove_versions(self, below: str) -> int:
        hidden = list(self._hidden_versions(below))
        for start in range(0, len(hidden), _PAGE):
            with self._failures():
                answer = self._client.delete_objects(
                    Bucket=self.name,
                    Delete={"Objects": hidden[start : start + _PAGE], "Quiet": True},
                )
            self._require_removed([str(e.get("Code", "")) for e in answer.get("Errors", ())])
        left = sum(1 for _ in self._hidden_versions(below))
        self._require_removed(["still there"] * left)
        return len(hidden)

    def _require_removed(self, errors: list[str]) -> None:
        if errors:
            raise WarehouseError(
                f"the bucket keeps {len(errors)} older versions of deleted files ({errors[0]})",
                str(self),
                "Let these keys delete versions (s3:DeleteObjectVersion), end retention rules "
                "on the prefix, then run the same command again.",
            )

    def _hidden_versions(self, below: str) -> Iterator[dict[str, str]]:
        for page in self._pages("list_object_versions", below):
            marks = page.get("DeleteMarkers", ())
            old = [v for v in page.get("Versions", ()) if not v["IsLatest"]]
            for entry in (*old, *marks):
                yield {"Key": str(entry["Key"]), "VersionId": str(entry["VersionId"])}

    def _abort_uploads(self, below: str) -> int:
        count = 0
        for page in self._pages("list_multipart_uploads", below):
            for upload in page.get("Uploads", ()):
                if not str(upload["Key"]).startswith(f"{self.prefix}{below}"):
                    continue
                with self._failures():
                    self._client.abort_multipart_upload(
                        Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                count += 1
        return count

    def _pages(self, operation: str, below: str) -> Iterator[dict[str, Any]]:
        with self._failures():
            pages = self._client.get_paginator(operation)
            yield from pages.paginate(Bucket=self.name, Prefix=f"{self.prefix}{below}")

    @contextmanager
    def _failures(self) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            code = _code(error)
            fix = next((fix for codes, fix in _FIXES if code in codes), "See the server's log.")
            raise WarehouseError(
                f"the object store refuses {error.operation_name}: {code}", str(self), fix
            ) from error
        except BotoCoreError as error:
            raise WarehouseError(
                f"the object store cannot be reached: {error}",
                str(self),
                f"Check that it runs, and `s3.endpoint`, `s3.use_ssl` in {self._file}.",
            ) from error


def _client(settings: S3Settings, secrets: dict[str, str], file: Path) -> Any:
    try:
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415
    except ImportError as error:
        raise missing_package("boto3", "Parquet in S3", file) from error
    scheme = "https" if settings.use_ssl else "http"
    # The keys are given: AWS_PROFILE, of which DuckDB knows nothing, decides nothing here.
    session = boto3.Session(
        botocore_session=Session({"profile": (None, None, None, None)}),
        aws_access_key_id=secrets[settings.key_id_env],
        aws_secret_access_key=secrets[settings.secret_env],
        aws_session_token=secrets.get(settings.session_token_env or ""),
        region_name=settings.region,
    )
    return session.client(
        "s3",
        endpoint_url=f"{scheme}://{settings.endpoint}" if settings.endpoint else None,
        use_ssl=settings.use_ssl,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path" if settings.style == "path" else "virtual"},
            # Of AWS_ENDPOINT_URL and ~/.aws/config DuckDB knows nothing: it would be another store.
            ignore_configured_endpoint_urls=True,
        ),
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
