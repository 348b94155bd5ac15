"""What a redis:// address says, without letting a secret out of it."""

import dataclasses
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from transforms.sources.errors import InputError

_FORM = "redis://[user:password@]host:port/db?stream=KEY&stream=KEY&group=NAME"
_SINGLE = ("group", "consumer", "field")
_DEFAULT_PORT = 6379


@dataclass(frozen=True)
class RedisAddress:
    """Server, stream keys and consumer group of one address.

    Attributes:
        host: name or IP address.
        port: TCP port.
        db: number of the database.
        streams: keys, sorted, each once.
        group: the consumer group.
        consumer: this reader's name within the group; the same after a restart.
        field: the field of an entry that holds the message as JSON.
        tls: whether the connection is encrypted (rediss://).
        user: for AUTH, if any.
        password: for AUTH, if any; never shown.
    """

    host: str
    streams: tuple[str, ...]
    port: int = _DEFAULT_PORT
    db: int = 0
    group: str = "memoryflow"
    consumer: str = dataclasses.field(default_factory=socket.gethostname)
    field: str = "message"
    tls: bool = False
    user: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def from_uri(cls, uri: str, environment: Mapping[str, str] | None = None) -> "RedisAddress":
        """Read an address.

        A password `$NAME` is the value of that environment variable, `$$x` is `$x`. User,
        password and parameters may be percent-encoded.

        Raises:
            InputError: the address is not one, names no stream, has an unknown parameter, or
                its variable is not set. It shows neither user nor password.
        """
        # '?' and '#' in a password end what urlsplit takes for the server, so look first.
        head, at, tail = uri.rpartition("@")
        # Without parameters: people write passwords there, too.
        shown = (f"{uri.partition('://')[0]}://***@{tail}" if at else uri).partition("?")[0]
        if at and any(mark in head.partition("://")[2] for mark in "/?#"):
            fix = "Percent-encode '/', '?', '#' and '@' in the password, and '@' in a parameter."
            raise InputError("not a Redis address", "redis://***", fix)
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            raise InputError("not a Redis address", shown, f"Write {_FORM}.") from None
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.fragment:
            raise InputError("not a Redis address", shown, f"Write {_FORM}.")
        streams, single = _parameters(parts, shown)
        return cls(
            host=parts.hostname,
            streams=streams,
            port=port or _DEFAULT_PORT,
            db=_database(parts.path, shown),
            tls=parts.scheme == "rediss",
            user=unquote(parts.username) if parts.username else None,
            password=_password(parts.password, shown, environment),
            **single,
        )

    @property
    def server(self) -> str:
        """Scheme, host, port and database."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    @property
    def name(self) -> str:
        """The address in one spelling, without user, password and consumer."""
        pairs = [("stream", key) for key in self.streams]
        pairs += [("group", self.group), ("field", self.field)]
        return f"{self.server}?{urlencode(pairs, quote_via=quote)}"

    def masked(self, text: str) -> str:
        """The text without the password."""
        return text.replace(self.password, "***") if self.password else text


def _parameters(parts: SplitResult, shown: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The stream keys, and what may be there once."""
    streams: set[str] = set()
    single: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in {"stream", *_SINGLE}:
            fix = (
                f"Known parameters: stream, {', '.join(_SINGLE)}; a password stands before the "
                "host: redis://:$NAME@host."
            )
            raise InputError(f"unknown parameter {key}", shown, fix)
        if not value:
            raise InputError(f"parameter {key} is empty", shown, f"Write {key}=NAME.")
        if key == "stream":
            streams.add(value)
        elif key in single:
            raise InputError(f"parameter {key} is there twice", shown, "Leave one of them.")
        else:
            single[key] = value
    if not streams:
        fix = "Add ?stream=KEY; several keys are ?stream=A&stream=B."
        raise InputError("no stream is named", shown, fix)
    return tuple(sorted(streams)), single


def _database(path: str, shown: str) -> int:
    text = path.removeprefix("/")
    if text and not (text.isascii() and text.isdecimal()):
        fix = "A number follows the port, as in /0; streams are named by ?stream=KEY."
        raise InputError("not a database number", shown, fix)
    return int(text or 0)


def _password(text: str | None, shown: str, environment: Mapping[str, str] | None) -> str | None:
    value = unquote(text or "")
    if value.startswith("$$"):
        return value[1:]
    if not value.startswith("$"):
        return value or None
    found = (os.environ if environment is None else environment).get(value[1:])
    if not found:
        fix = "Set it, or write a password that begins with '$' as '$$'."
        raise InputError("the password names a variable that is not set", shown, fix)
    return found
