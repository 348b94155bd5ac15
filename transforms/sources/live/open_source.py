"""From `--source` to a live source."""

import difflib
import re
from urllib.parse import unquote, urlsplit

from transforms.sources.errors import InputError
from transforms.sources.live.protocol import LiveSource
from transforms.sources.live.tailed_files import TailedFiles

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES = ("file", "kafka", "redis", "rediss")


def open_live_source(uri: str) -> LiveSource:
    """The live source that `uri` names; nothing is read, nor connected to, yet.

    Args:
        uri: path of a file or folder, glob, `file:///path`, `redis://`, `rediss://` or
            `kafka://`.

    Raises:
        InputError: the scheme is unknown, its client library is missing, or the rest of
            `uri` is wrong.
    """
    found = _SCHEME.match(uri)
    if found is None:
        return _follow_files(uri)
    scheme = found[1].lower()
    if scheme == "file":
        return _follow_files(_local_path(uri))
    if scheme in {"redis", "rediss"}:
        return _read_redis(uri)
    if scheme == "kafka":
        return _read_kafka(uri)
    raise _unknown_scheme(scheme)


def _follow_files(path: str) -> LiveSource:
    if not path:
        raise InputError("no source", "--source", "Name a file, a folder, a glob or a URI.")
    if path == "-":
        fix = "Save it to a file and follow that, or read it with `run`."
        raise InputError("standard input cannot be followed", path, fix)
    return TailedFiles(path)


def _local_path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        fix = "A local path has three slashes: file:///logs/chat.jsonl."
        raise InputError("no local file", uri, fix)
    # A glob may hold '?' and '#', which no local path uses otherwise.
    return unquote(uri.split("://", 1)[1].removeprefix(parts.netloc))


def _read_redis(uri: str) -> LiveSource:
    try:
        from transforms.sources.live.redis_streams import RedisStreams  # noqa: PLC0415  optional

        return RedisStreams.from_uri(uri)
    except ModuleNotFoundError as error:
        raise _no_client("redis", error) from error


def _read_kafka(uri: str) -> LiveSource:
    try:
        from transforms.sources.live.kafka_topics import KafkaTopics  # noqa: PLC0415  optional

        return KafkaTopics.from_uri(uri)
    except ModuleNotFoundError as error:
        raise _no_client("kafka", error) from error


def _no_client(scheme: str, error: ModuleNotFoundError) -> InputError:
    what = f"{scheme}:// needs the Python package {error.name}, which is not installed"
    return InputError(what, f"{scheme}://", "Install it: pip install 'memoryflow[stream]'")


def _unknown_scheme(scheme: str) -> InputError:
    known = ", ".join(f"{name}://" for name in _SCHEMES)
    close = difflib.get_close_matches(scheme, _SCHEMES, n=1)
    hint = f"Did you mean {close[0]}://? " if close else ""
    return InputError("unknown kind of source", f"{scheme}://", f"{hint}Known: a path, {known}.")
