"""Redis streams as a live source, through a consumer group."""

import logging
from collections.abc import Mapping, Sequence

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MovedError,
    NoPermissionError,
    RedisError,
)
from redis.retry import Retry

from transforms.sources.errors import InputError
from transforms.sources.live.protocol import Polled, SourceDownError
from transforms.sources.live.redis_address import RedisAddress
from transforms.sources.live.redis_cursor import GroupMovedError, RedisCursor
from transforms.sources.live.redis_entries import Entry, EntryId

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 5.0
_SOCKET_SECONDS = 15.0
# Well below the socket's time limit, which else would end the wait as an error.
_LONGEST_WAIT_SECONDS = 5.0
_TROUBLE = (RedisError, OSError, GroupMovedError)
# Only the user can mend these; by text where redis-py has no class for them.
_SETUP_ERRORS = (AuthenticationError, AuthorizationError, NoPermissionError, MovedError)
_SETUP_TEXTS = ("WRONGTYPE", "unknown command", "DB index")
_GONE_TEXTS = ("NOGROUP", "no such key")


class RedisStreams:
    """Streams of one Redis server (6.2 or later); a partition is a stream key.

    A position is the id of the last entry handed out. The warehouse's position counts, not the
    group's: entries behind it are read whatever the group has delivered to whom, in the order of
    their ids, and those before it are acknowledged. An acknowledgement (XACK) deletes nothing;
    trimming is the writers' business (XADD MAXLEN or MINID), and what is trimmed before it was
    read is lost without a trace. Holds at most one poll's entries in memory.

    Not served: Redis Cluster, Sentinel, unix sockets, client certificates.

    Args:
        address: server, keys and group.
        claim_idle: seconds an entry of another consumer must be pending to be claimed; it only
            changes whose name stands on it, as one stream at a time writes a warehouse.
    """

    def __init__(self, address: RedisAddress, claim_idle: float = 0.0) -> None:
        self._address = address
        # A command is never repeated unseen: the entries of a lost reply count as delivered.
        self._client = redis.Redis(
            host=address.host,
            port=address.port,
            db=address.db,
            username=address.user,
            password=address.password,
            ssl=address.tls,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
            socket_keepalive=True,
        )
        self._cursors = {
            key: RedisCursor(
                self._client, key, address.group, address.consumer, address.field, claim_idle
            )
            for key in address.streams
        }
        self._turn = 0
        self._attached = False

    @classmethod
    def from_uri(cls, uri: str, claim_idle: float = 0.0) -> "RedisStreams":
        """Open `redis://[user:password@]host:port/db?stream=KEY&group=NAME&field=message`.

        `stream` may be there several times; `group` is 'memoryflow', `field` 'message' and
        `consumer` the host's name by default. rediss:// is TLS. A password `$NAME` is read from
        the environment. Connects on `resume`.

        Raises:
            InputError: the address is wrong.
        """
        return cls(RedisAddress.from_uri(uri), claim_idle)

    @property
    def name(self) -> str:
        """The address without user, password and consumer."""
        return self._address.name

    def resume(self, positions: Mapping[str, str]) -> None:
        """Start behind these positions; keys not in the address are left alone.

        Raises:
            InputError: the server refuses us, or the key is not a stream.
            SourceDownError: it cannot be reached; `poll` tries again.
        """
        for key, cursor in self._cursors.items():
            if key in positions:
                cursor.resume(positions[key])
        try:
            self._attach()
        except _TROUBLE as error:
            if not _is_setup_error(error):
                raise self._down(error) from None
            reason = self._address.masked(str(error))
        else:
            return
        # Outside of `except`, so that no traceback shows the client's own words.
        fix = "Check user, password, database and the keys; the server must be Redis 6.2 or later."
        raise InputError(f"Redis refuses ({reason})", self._address.server, fix)

    def poll(self, max_bytes: int, timeout: float) -> Sequence[Polled]:
        """What is new, each key in turn; one call after an error connects again."""
        if max_bytes <= 0:
            return ()
        try:
            self._attach()
            polled = self._serve(max_bytes)
            if not polled and timeout > 0:
                self._wait(timeout)
                polled = self._serve(max_bytes)
        except _TROUBLE as error:
            raise self._down(error) from None
        self._measure()
        return [
            Polled(
                key,
                [(entry.id.ms, entry.data) for entry in entries],
                str(entries[-1].id),
                self._cursors[key].backlog,
            )
            for key, entries in polled.items()
        ]

    def partitions(self) -> Sequence[str]:
        """All keys: a stream never ends."""
        return sorted(self._cursors)

    def backlog(self) -> Mapping[str, int]:
        """Entries behind the position: exact from Redis 7.0 on, else estimated."""
        self._measure()
        return {key: cursor.backlog for key, cursor in self._cursors.items()}

    def acknowledge(self, positions: Mapping[str, str]) -> None:
        """Acknowledge to the group; made up for at the next poll where the server is down."""
        for key, text in positions.items():
            position = EntryId.parse(text)
            if key in self._cursors and position is not None:
                self._cursors[key].commit(position)
        if not self._attached:
            return
        try:
            for cursor in self._cursors.values():
                cursor.acknowledge()
        except _TROUBLE as error:
            self._lose(error)

    def close(self) -> None:
        """Let go of the connection; the group keeps what is not acknowledged."""
        self._attached = False
        self._client.close()

    def _attach(self) -> None:
        if self._attached:
            return
        for cursor in self._cursors.values():
            cursor.attach()
        self._attached = True

    def _serve(self, max_bytes: int) -> dict[str, list[Entry]]:
        """One read of each key; what one leaves of its share goes to the next."""
        keys = self._address.streams
        order = [*keys[self._turn :], *keys[: self._turn]]
        self._turn = (self._turn + 1) % len(keys)
        polled: dict[str, list[Entry]] = {}
        room = max_bytes
        for index, key in enumerate(order):
            try:
                entries = self._cursors[key].read(max(1, room // (len(order) - index)))
            except _TROUBLE as error:
                if not polled:
                    raise
                # What is read already has moved its positions, so it must be handed out.
                self._lose(error)
                break
            if entries:
                polled[key] = entries
                room -= sum(entry.size for entry in entries)
        return polled

    def _wait(self, timeout: float) -> None:
        """Until something is new in any stream, whoever will read it."""
        behind = {key: cursor.wait_id for key, cursor in self._cursors.items()}
        wait = max(1, int(min(timeout, _LONGEST_WAIT_SECONDS) * 1000))
        self._client.xread(behind, count=1, block=wait)  # pyright: ignore[reportArgumentType]  # its dict is invariant

    def _measure(self) -> None:
        """A look at the backlog; its failure is left to the next poll to report."""
        if not self._attached:
            return
        try:
            for cursor in self._cursors.values():
                cursor.measure()
        except _TROUBLE as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._attached = False
        _LOG.debug("%s", self._message(error))

    def _down(self, error: Exception) -> SourceDownError:
        self._attached = False
        return SourceDownError(self._message(error))

    def _message(self, error: Exception) -> str:
        server = self._address.server
        if isinstance(error, BusyLoadingError):
            return f"{server} is loading its data"
        if isinstance(error, GroupMovedError) or any(t in str(error) for t in _GONE_TEXTS):
            return (
                f"{server}: a stream, or its group {self._address.group}, was deleted or set back"
            )
        reason = self._address.masked(str(error)) or type(error).__name__
        return f"{server} cannot be read: {reason}"


def _is_setup_error(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, _SETUP_ERRORS) or any(known in text for known in _SETUP_TEXTS)
