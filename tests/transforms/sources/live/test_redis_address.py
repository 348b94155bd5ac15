"""Addresses of Redis streams: what is read from them, and what is never shown."""

import socket

import pytest

from transforms.sources.errors import InputError
from transforms.sources.live.redis_address import RedisAddress


def test_defaults() -> None:
    address = RedisAddress.from_uri("redis://host?stream=chat")

    assert (address.host, address.port, address.db, address.tls) == ("host", 6379, 0, False)
    assert (address.streams, address.group, address.field) == (("chat",), "memoryflow", "message")
    assert address.consumer == socket.gethostname()
    assert (address.user, address.password) == (None, None)


def test_everything_given() -> None:
    address = RedisAddress.from_uri(
        "rediss://ann:p%40ss@[::1]:7000/3?stream=b&stream=a&stream=b&group=g&consumer=c&field=f"
    )

    assert (address.host, address.port, address.db, address.tls) == ("::1", 7000, 3, True)
    assert (address.streams, address.group) == (("a", "b"), "g")
    assert (address.consumer, address.field) == ("c", "f")
    assert (address.user, address.password) == ("ann", "p@ss")


def test_name_is_stable_and_without_secrets() -> None:
    first = RedisAddress.from_uri("redis://ann:hunter2@Host:6379/0?stream=b&stream=a&consumer=x")
    second = RedisAddress.from_uri("redis://host/?stream=a&stream=b&group=memoryflow&consumer=y")

    assert first.name == second.name
    assert first.name == "redis://host:6379/0?stream=a&stream=b&group=memoryflow&field=message"
    assert "hunter2" not in repr(first)
    assert first.masked("no hunter2 here") == "no *** here"


def test_password_from_the_environment() -> None:
    uri = "redis://:$REDIS_PASSWORD@host/0?stream=a"

    assert RedisAddress.from_uri(uri, {"REDIS_PASSWORD": "hunter2"}).password == "hunter2"
    assert RedisAddress.from_uri("redis://:$$x@host/0?stream=a", {}).password == "$x"
    with pytest.raises(InputError, match="not set"):
        RedisAddress.from_uri(uri, {})


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("redis://u:hunter2@host:6379/0", "no stream"),
        ("redis://u:hunter2@host:6379/0?stream=", "stream is empty"),
        ("redis://u:hunter2@host:6379/0?stream=a&topic=b", "unknown parameter topic"),
        ("redis://u:hunter2@host:6379/0?stream=a&group=b&group=c", "group is there twice"),
        ("redis://u:hunter2@host:6379/chat?stream=a", "not a database number"),
        ("redis://u:hunter2@host:99999/0?stream=a", "not a Redis address"),
        ("redis://u:hunter2@:6379/0?stream=a", "not a Redis address"),
        ("redis://u:hunter2@host:6379/0?stream=a#x", "not a Redis address"),
        ("http://u:hunter2@host/0?stream=a", "not a Redis address"),
        ("redis://u:hunter2/x@host:6379/0?stream=a", "Percent-encode"),
        ("redis://u:hunter2?x@host:6379/0?stream=a", "Percent-encode"),
        ("redis://u:hunt@er2@host:6379/0", "no stream"),
    ],
)
def test_bad_addresses(uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        RedisAddress.from_uri(uri)

    assert "hunt" not in str(caught.value)
    assert "er2" not in str(caught.value)
    assert caught.value.fix
