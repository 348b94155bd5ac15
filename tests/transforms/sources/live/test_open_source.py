import sys
from pathlib import Path
from types import ModuleType

import pytest

from transforms.sources.errors import InputError
from transforms.sources.live.open_source import open_live_source
from transforms.sources.live.tailed_files import TailedFiles


def test_paths_are_followed_whether_they_exist_or_not(tmp_path: Path) -> None:
    for uri in (tmp_path, tmp_path / "later.jsonl", tmp_path / "*.jsonl"):
        source = open_live_source(str(uri))
        assert isinstance(source, TailedFiles)
        assert source.name == f"file:{uri}"


@pytest.mark.parametrize("host", ["", "localhost"])
def test_file_uris_are_paths(host: str) -> None:
    assert open_live_source(f"file://{host}/logs/a%20b/*.jsonl").name == "file:/logs/a b/*.jsonl"
    assert open_live_source(f"file://{host}/logs/x?.jsonl").name == "file:/logs/x?.jsonl"


@pytest.mark.parametrize("uri", ["file://elsewhere/logs", "file://", "", "-", "x.jsonl.gz"])
def test_what_cannot_be_followed_is_refused(uri: str) -> None:
    with pytest.raises(InputError):
        open_live_source(uri)


@pytest.mark.parametrize(("uri", "meant"), [("reddis://h", "redis://"), ("kafak://h", "kafka://")])
def test_unknown_schemes_get_a_suggestion(uri: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean {meant}"):
        open_live_source(uri)


def test_an_unknown_scheme_lists_what_there_is_and_keeps_secrets() -> None:
    with pytest.raises(InputError, match="kafka://, redis://, rediss://") as caught:
        open_live_source("amqp://me:hush@host/queue")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "module", "name"),
    [
        ("redis://h/0?stream=s", "redis_streams", "RedisStreams"),
        ("REDISS://h/0?stream=s", "redis_streams", "RedisStreams"),
        ("kafka://h/t", "kafka_topics", "KafkaTopics"),
    ],
)
def test_brokers_get_the_whole_uri(
    uri: str, module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broker:
        @classmethod
        def from_uri(cls, uri: str) -> tuple[str, str]:
            return "opened", uri

    stub = ModuleType(module)
    setattr(stub, name, Broker)
    monkeypatch.setitem(sys.modules, f"transforms.sources.live.{module}", stub)
    assert open_live_source(uri) == ("opened", uri)


@pytest.mark.parametrize(
    ("uri", "module", "library"),
    [
        ("redis://h", "redis_streams", "redis"),
        ("kafka://h", "kafka_topics", "confluent_kafka"),
    ],
)
def test_a_missing_client_says_what_to_install(
    uri: str, module: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    monkeypatch.setitem(sys.modules, f"transforms.sources.live.{module}", Missing(module))
    with pytest.raises(InputError, match=r"pip install 'memoryflow\[stream\]'") as caught:
        open_live_source(uri)
    assert library in str(caught.value)
