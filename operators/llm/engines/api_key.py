"""The key of an endpoint: read where it is needed, shown nowhere."""

import os

from pydantic import SecretStr

from operators.llm.engines.base import EngineDownError


class ApiKey:
    """A key in an environment variable; it may be changed while calls are made.

    Args:
        variable: its name (`api_key_env`); None for an endpoint without keys.
    """

    def __init__(self, variable: str | None) -> None:
        self._variable = variable

    def headers(self) -> dict[str, str]:
        """The header that carries the key.

        Raises:
            EngineDownError: the variable holds no key.
        """
        key = self._read()
        return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def redact(self, body: bytes) -> bytes:
        """`body` of a response without the key: some servers repeat it in what they say."""
        key = self._read()
        return body.replace(key.get_secret_value().encode(), b"***") if key else body

    def advice(self) -> str:
        """What to do when the endpoint does not let us in."""
        if self._variable is None:
            return "Name the environment variable that holds the key as `api_key_env`."
        return f"Check the key in environment variable {self._variable} (`api_key_env`)."

    def _read(self) -> SecretStr | None:
        if self._variable is None:
            return None
        value = os.environ.get(self._variable, "").strip()
        if not value:
            raise EngineDownError(
                f"Environment variable {self._variable} holds no key. Set it where the calls are "
                "made (on each node, if on Ray), or take `api_key_env` out of the model."
            )
        return SecretStr(value)
