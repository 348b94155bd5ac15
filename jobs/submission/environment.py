"""Settings that Ray reads when it is imported: so this comes before the client."""

import logging
import os

_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
# Of Ray's client: they say of every upload what it is, and set their own level.
_CHATTY_LOGGERS = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


def prepare_submission_environment() -> None:
    """Let Ray's client take the address it is given, and the token that is set.

    Ray would prefer an address from the environment to the one on the command line, and would
    not send a token that is there unless its mode is set as well.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name in _ADDRESS_VARIABLES:
        os.environ.pop(name, None)
    if any(os.environ.get(name) for name in _TOKEN_VARIABLES):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).addFilter(_errors_only)


def _errors_only(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
