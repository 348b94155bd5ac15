"""What a kafka:// address says, without letting a secret out of it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from transforms.sources.errors import InputError

_FORM = "kafka://host:port[,host:port]/topic[,topic]?group=NAME&option=value"
_ADDRESS = re.compile(r"kafka://(?P<brokers>[^/@?]+)/(?P<topics>[^/@?]+)")
_BROKER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SECRET = re.compile(r"password|secret|token|pem|credential|jaas|oauthbearer\.config|\.key$")
_DEFAULT_PORT = 9092

# Small queues: what the pipeline cannot take yet stays in Kafka, not in this process. A fetch
# takes a little of every partition, so that a long one does not starve the others.
_DEFAULTS = {
    "client.id": "memoryflow",
    "isolation.level": "read_committed",
    "queued.min.messages": "10000",
    "queued.max.messages.kbytes": "4096",
    "fetch.max.bytes": "4194304",
    "max.partition.fetch.bytes": "524288",
    "fetch.queue.backoff.ms": "50",
    "socket.timeout.ms": "20000",
    "socket.keepalive.enable": "true",
    "reconnect.backoff.max.ms": "2000",
    "log.connection.close": "false",
}
# Positions are the warehouse's, so nothing here may commit, store or reset them by itself.
_FIXED = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "false",
    "auto.offset.reset": "error",
    "allow.auto.create.topics": "false",
}
_INSTEAD = {
    "bootstrap.servers": "Name the brokers before the topic.",
    "metadata.broker.list": "Name the brokers before the topic.",
    "group.id": "Write group=NAME.",
}
_TAKEN = "Leave it out: memoryflow sets it, for positions are kept in the warehouse."
# The same by other names, and what the Python client takes besides librdkafka's options.
_ALIASES = ("auto.commit.enable", "default.topic.config", "on_commit", "logger")


@dataclass(frozen=True)
class KafkaSettings:
    """Brokers, topics and client options of one address.

    Attributes:
        brokers: host:port each, as given.
        topics: sorted, each once.
        group: the consumer group that shows progress to monitoring tools.
        options: librdkafka's, as given; may hold secrets.
        secrets: values that must not be shown.
    """

    brokers: tuple[str, ...]
    topics: tuple[str, ...]
    group: str = "memoryflow"
    options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_uri(cls, uri: str, environment: Mapping[str, str] | None = None) -> "KafkaSettings":
        """Read an address.

        An option value `$NAME` is the value of that environment variable, `$$x` is `$x`.
        Values may be percent-encoded; `+` stands for itself.

        Raises:
            InputError: the address is not one, an option is not the user's to set, or a
                variable is not set. It shows no option's value.
        """
        base, _, query = uri.partition("?")
        address = _ADDRESS.fullmatch(base)
        if address is None:
            where = "kafka://***" if "@" in uri else base
            fix = f"Write {_FORM}; a user and password are options (sasl.username, sasl.password)."
            raise InputError("not a Kafka address", where, fix)
        brokers = tuple(_broker(b, base) for b in address["brokers"].split(","))
        topics = tuple(sorted({_topic(t, base) for t in address["topics"].split(",")}))
        options = _options(query, base)
        values = {k: _resolved(k, v, base, environment) for k, v in options.items()}
        hidden = {values[k] for k, v in options.items() if _is_secret(k, v)}
        if values.pop("from", "beginning") != "beginning":
            fix = "Leave it out: reading starts at the beginning, or where the last run was."
            raise InputError("option from knows only 'beginning'", base, fix)
        group = values.pop("group", "memoryflow")
        if not group:
            raise InputError("option group is empty", base, "Write group=NAME, or leave it out.")
        # Longest first, so that a secret within a secret leaves no rest.
        secrets = tuple(sorted(hidden - {""}, key=len, reverse=True))
        return cls(brokers, topics, group, values, secrets)

    @property
    def name(self) -> str:
        """Brokers and topics in a fixed order, without options."""
        brokers = ",".join(sorted({broker.lower() for broker in self.brokers}))
        return f"kafka://{brokers}/{','.join(self.topics)}"

    @property
    def client(self) -> dict[str, str]:
        """All settings for the client; holds secrets, so it is never shown."""
        servers = {"bootstrap.servers": ",".join(self.brokers), "group.id": self.group}
        return {**_DEFAULTS, **self.options, **_FIXED, **servers}

    def masked(self, text: str) -> str:
        """The text without any secret of these settings."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def _broker(text: str, where: str) -> str:
    match = _BROKER.fullmatch(text)
    if match is None or not 0 < int(match["port"] or _DEFAULT_PORT) < 2**16:
        raise InputError(f"not a broker: {text!r}", where, f"Write {_FORM}.")
    return text if match["port"] else f"{text}:{_DEFAULT_PORT}"


def _topic(text: str, where: str) -> str:
    if not _TOPIC.fullmatch(text) or text in {".", ".."}:
        fix = "A topic has letters, digits, '.', '_' and '-'; patterns are not supported."
        raise InputError(f"not a topic: {text!r}", where, fix)
    return text


def _options(query: str, where: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for number, part in enumerate((p for p in query.split("&") if p), 1):
        key, equals, value = part.partition("=")
        key = unquote(key)
        if not equals or not key:
            # Not shown: it may be the rest of a password with an '&' in it.
            fix = "Write option=value, joined by '&'; '&' within a value is %26."
            raise InputError(f"option {number} has no '='", where, fix)
        if key in options:
            raise InputError(f"option {key} is there twice", where, "Leave one of them.")
        if key in _FIXED or key in _INSTEAD or key in _ALIASES or key.endswith("_cb"):
            raise InputError(f"option {key} cannot be set", where, _INSTEAD.get(key, _TAKEN))
        options[key] = unquote(value)
    return options


def _resolved(key: str, value: str, where: str, environment: Mapping[str, str] | None) -> str:
    if value.startswith("$$"):
        return value[1:]
    if not value.startswith("$"):
        return value
    found = (os.environ if environment is None else environment).get(value[1:])
    if found is None:
        # The name is shown only where it can be one: else it is a value that begins with '$'.
        named = f" {value[1:]}" if re.fullmatch(r"[A-Z_][A-Z0-9_]*", value[1:]) else ""
        fix = f"Set the environment variable{named}; a value that begins with '$' is written '$$'."
        raise InputError(f"option {key} names a variable that is not set", where, fix)
    return found


def _is_secret(key: str, value: str) -> bool:
    from_environment = value.startswith("$") and not value.startswith("$$")
    return from_environment or _SECRET.search(key.lower()) is not None
