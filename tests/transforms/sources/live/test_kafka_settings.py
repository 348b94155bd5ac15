"""What is refused about kafka:// addresses, and that no secret gets out."""

import logging
import pickle

import pytest

from transforms.sources.errors import InputError
from transforms.sources.live.kafka_settings import KafkaSettings
from transforms.sources.live.kafka_topics import KafkaTopics


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("kafka://", "not a Kafka address"),
        ("kafka://host:9092", "not a Kafka address"),
        ("kafka://host:9092/", "not a Kafka address"),
        ("redis://host:9092/t", "not a Kafka address"),
        ("kafka://host:9092/a/b", "not a Kafka address"),
        ("kafka://host:port/t", "not a broker"),
        ("kafka://host:70000/t", "not a broker"),
        ("kafka://host:0/t", "not a broker"),
        ("kafka://host:9092,/t", "not a broker"),
        ("kafka://host:9092/t,", "not a topic"),
        ("kafka://host:9092/^t.*", "not a topic"),
        ("kafka://host:9092/t?from=end", "option from knows only 'beginning'"),
        ("kafka://host:9092/t?group=", "option group is empty"),
        ("kafka://host:9092/t?debug", "option 1 has no '='"),
        ("kafka://host:9092/t?group=a&group=b", "option group is there twice"),
        ("kafka://host:9092/t?auto.offset.reset=latest", "option auto.offset.reset cannot be set"),
        ("kafka://host:9092/t?group.id=g", "Write group=NAME"),
        ("kafka://host:9092/t?no.such=1", 'No such configuration property: "no.such"'),
        ("kafka://host:9092/t?fetch.wait.max.ms=soon", "fetch.wait.max.ms"),
        ("kafka://host:9092/t?error_cb=x", "option error_cb cannot be set"),
        ("kafka://host:9092/t?client.id=$NO_SUCH_VARIABLE", "variable NO_SUCH_VARIABLE"),
    ],
)
def test_bad_addresses(uri: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        KafkaTopics.from_uri(uri)
    assert says in str(caught.value)
    assert caught.value.fix
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://me:hunter2@host:9092/t",
        "kafka://me:hunter2?x@host:9092/t",
        "kafka://me:hunter2/x@host:9092/t",
        "kafka://host:9092/t?sasl.password=a&hunter2",
        "kafka://host:9092/t?sasl.password=$hunter2",
        "kafka://host:9092/t?sasl.password=hunter2&sasl.password=hunter2",
        "kafka://host:9092/t?security.protocol=sasl_ssl&sasl.password=hunter2",
        "kafka://host:9092/t?ssl.key.password=hunter2&no.such.hunter2=1",
        "kafka://host:9092/t?security.protocol=$SECRET",
        "kafka://host:9092/t?sasl.password=hunter2&security.protocol=hunter2",
    ],
)
def test_no_secret_in_errors(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(InputError) as caught:
        KafkaTopics.from_uri(uri)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "hunter2" not in caplog.text


def test_what_the_client_says_is_masked() -> None:
    settings = KafkaSettings.from_uri("kafka://h/t?sasl.password=$A", {"A": "hunter2"})
    assert settings.client["sasl.password"] == "hunter2"
    assert settings.masked("no: hunter2!") == "no: ***!"
    assert "hunter2" not in repr(settings)


def test_values_are_taken_as_written() -> None:
    settings = KafkaSettings.from_uri("kafka://h/t?sasl.password=a+b%26c&client.id=$$x", {})
    assert settings.client["sasl.password"] == "a+b&c"
    assert settings.client["client.id"] == "$x"
    assert settings.client["isolation.level"] == "read_committed"
    changed = KafkaSettings.from_uri("kafka://h/t?isolation.level=read_uncommitted", {})
    assert changed.client["isolation.level"] == "read_uncommitted"


def test_the_name_does_not_depend_on_order_or_options() -> None:
    one = KafkaSettings.from_uri("kafka://B:9093,a/t2,t1?group=x", {})
    other = KafkaSettings.from_uri("kafka://a:9092,b:9093/t1,t2,t1?from=beginning", {})
    assert one.name == other.name == "kafka://a:9092,b:9093/t1,t2"
    assert one.client["bootstrap.servers"] == "B:9093,a:9092"
