"""Where a cluster takes jobs."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import psutil

from jobs.errors import UsageError

DASHBOARD_PORT = 8265
_FORWARDERS = frozenset({"ssh", "kubectl", "socat"})


def job_address(text: str) -> str:
    """The address as `http://HOST:PORT`.

    Raises:
        UsageError: it is none, or holds a password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
    except ValueError as error:
        raise UsageError(f"--address is not where a cluster takes jobs: {error}") from None
    if "@" in parts.netloc:
        raise UsageError(
            "--address holds a user or password; Ray's token goes into the environment variable "
            "RAY_AUTH_TOKEN, or into a file that RAY_AUTH_TOKEN_PATH names"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        shown = text.partition("?")[0]  # What follows may be a token.
        raise UsageError(
            f"--address '{shown}' is not where a cluster takes jobs. That is its dashboard: "
            f"http://{_host(parts.hostname)}:{DASHBOARD_PORT} (ray:// and HOST:6379 are addresses "
            "for `memoryflow run`, from a machine of the cluster)"
        )
    return text.rstrip("/")


def host_and_port(address: str) -> tuple[str, int]:
    """Of a `job_address`.

    Raises:
        UsageError: the port is not a number.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--address '{address}': {error}") from error
    return parts.hostname or "", port or (443 if parts.scheme == "https" else 80)


def is_this_machine(address: str) -> bool:
    """Whether the cluster's head is this machine, as far as can be seen.

    A loopback address whose port is forwarded by ssh or kubectl leads elsewhere.
    """
    host, port = host_and_port(address)
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return loopback and _listener(port) not in _FORWARDERS


def _listener(port: int) -> str:
    """Name of the process that listens on a port here; empty, if that cannot be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port:
                return psutil.Process(connection.pid).name() if connection.pid else ""
    except psutil.Error:
        pass
    return ""


def _host(found: str | None) -> str:
    return found if found and found != "auto" else "HOST"
