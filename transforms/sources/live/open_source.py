"""From `--source` to a live source."""

import difflib
import re
from urllib.parse import unquote

from transforms.sources.errors import InputError
from transforms.sources.live.protocol import LiveSource
from transforms.sources.live.tailed_files import TailedFiles

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SHOWN_CHARS = 200
_SCHEMES = ("file", "kafka", "redis", "rediss")
# An address with a slash too few would be taken for a path, and recorded with its password.
_ALMOST = re.compile(r"\s*(kafka|rediss?):", re.IGNORECASE)


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
        if almost := _ALMOST.match(uri):
            scheme = almost[1].lower()
            raise InputError("not an address", f"{scheme}:...", f"Write {scheme}://HOST:PORT/...")
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
    try:
        return TailedFiles(path)
    except (OSError, ValueError) as error:  # A name too long; a NUL character in it.
        reason = getattr(error, "strerror", None) or str(error)
        fix = "Name a file, a folder, a glob or a URI."
        raise InputError(f"no path ({reason})", path[:_SHOWN_CHARS], fix) from error


def _local_path(uri: str) -> str:
    # Not urlsplit: a glob may hold '?' and '#', which no local path uses otherwise.
    host, slash, path = uri.split("://", 1)[1].partition("/")
    if host not in {"", "localhost"} or not slash:
        fix = "A local path has three slashes: file:///logs/chat.jsonl."
        raise InputError("no local file", f"file://{host.rpartition('@')[2]}/...", fix)
    return unquote(slash + path)


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
