"""A model behind an endpoint that speaks OpenAI's chat completions."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import stamina

from operators.llm.call import Answer, Request
from operators.llm.engines.api_key import ApiKey
from operators.llm.engines.base import CallFailedError, EngineDownError
from operators.llm.engines.health import Health
from operators.llm.engines.openai_messages import UnreadableError, answer_of, body_of, error_of
from operators.llm.engines.rate_pacer import RatePacer
from operators.llm.spec import OpenAiLlm

_CONNECT_SECONDS = 30.0
_BACK_OFF = {"wait_initial": 0.25, "wait_max": 30.0, "wait_jitter": 0.25, "wait_exp_base": 2.0}

_REFUSED = frozenset({400, 413, 422})
_PASSING = frozenset({408, 409, 425, 429})
_TURNED_AWAY = frozenset({429, 503})
_SETTINGS = frozenset({"model", "response_format", "seed", "temperature"})
_UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})


class _TryAgainError(Exception):
    """An attempt failed for a reason that may pass."""

    def __init__(
        self, message: str, *, unreachable: bool = False, turned_away: bool = False
    ) -> None:
        super().__init__(message)
        self.unreachable = unreachable
        self.turned_away = turned_away


class OpenAiEngine:
    """Sends calls to `POST {url}/chat/completions`, and sees to it that they are answered.

    All retries of a call happen here and nowhere else: after 408, 409, 425, 429 and 5xx,
    after `llm.timeout`, lost connections and bodies that are no answer. The back-off doubles
    from a quarter of a second on, up to 30 s, with jitter. Where the endpoint says how long
    to wait (`Retry-After`, `X-RateLimit-*`), all calls wait. A call that is turned away (429)
    while others are answered goes on trying beyond `llm.attempts`: its turn comes. What the
    endpoint says about the request itself (400, 413, 422, a filter) is the answer `refused`.

    The API key is read from the environment with each attempt. It is in no error and no repr.

    Args:
        llm: model, address, limits.
        pacer: holds calls back; another one in tests.
    """

    def __init__(self, llm: OpenAiLlm, pacer: RatePacer | None = None) -> None:
        self._llm = llm
        self._url = _completions(llm.url)
        self._shown = _without_secrets(llm.url)
        self._key = ApiKey(llm.api_key_env)
        self._pacer = pacer or RatePacer()
        self._health = Health()
        caller = stamina.AsyncRetryingCaller(attempts=llm.attempts, timeout=None, **_BACK_OFF)
        self._retrying = caller.on(_TryAgainError)
        self._client: aiohttp.ClientSession | None = None

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer to `request`; see `Engine`."""
        body = body_of(self._llm, request)
        while True:
            answers_before = self._health.answers
            try:
                return await self._retrying(self._attempt, body, call_id)
            except _TryAgainError as error:
                last = error
            if not (last.turned_away and self._health.answers > answers_before):
                # Raised here, so that it is not chained to frames that hold the key.
                raise self._given_up(last, answers_before)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _attempt(self, body: bytes, call_id: str) -> Answer:
        await self._pacer.wait()
        started = time.perf_counter()
        try:
            status, headers, raw = await self._post(body)
            latency_ms = (time.perf_counter() - started) * 1000
            self._pacer.note(headers, turned_away=status in _TURNED_AWAY)
            answer = self._judged(status, raw, call_id, latency_ms)
        except _TryAgainError:
            self._health.failed(call_id)
            raise
        self._health.answered()
        return answer

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the response."""
        try:
            async with self._session().post(
                self._url, data=body, headers=self._headers(), allow_redirects=False
            ) as response:
                raw = await response.read()
                return response.status, response.headers, self._key.redact(raw)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
            raise _TryAgainError(f"cannot connect: {error}", unreachable=True) from None
        except TimeoutError:
            seconds = self._llm.timeout.total_seconds()
            raise _TryAgainError(f"no answer within {seconds:g} s") from None
        except aiohttp.InvalidURL:
            raise EngineDownError(f"`url` is no address: {self._shown}") from None
        except (aiohttp.ClientError, OSError) as error:
            what = f"{type(error).__name__}: {error}"
            raise _TryAgainError(f"the connection broke: {what}") from None

    def _judged(self, status: int, raw: bytes, call_id: str, latency_ms: float) -> Answer:
        if status != HTTPStatus.OK:
            return self._not_ok(status, raw, call_id, latency_ms)
        try:
            return answer_of(raw, call_id, latency_ms)
        except UnreadableError as error:
            raise _TryAgainError(str(error)) from None

    def _not_ok(self, status: int, raw: bytes, call_id: str, latency_ms: float) -> Answer:
        """What a response other than 200 means."""
        message, code, parameter = error_of(raw)
        said = message.rstrip(".")
        if code == "insufficient_quota":
            raise EngineDownError(f"The account at {self._shown} is out of quota: {said}.")
        if status in _REFUSED:
            if parameter in _SETTINGS or code in _UNSUPPORTED:
                raise EngineDownError(
                    f"{self._shown} does not take a setting of this model ({status}): {said}. "
                    f"Check `model`, `structured` and `temperature` of model {self._llm.model!r}."
                )
            return Answer(call_id, "refused", message, latency_ms=latency_ms)
        if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            turned_away = status == HTTPStatus.TOO_MANY_REQUESTS
            raise _TryAgainError(f"{status}: {message}", turned_away=turned_away)
        raise EngineDownError(
            f"{self._shown} rejects all calls ({status}): {said}. {self._advice(status)}"
        )

    def _advice(self, status: int) -> str:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._key.advice()
        return (
            "Check `url`, which goes up to and with /v1, and whether the endpoint serves "
            f"`model` {self._llm.model!r}."
        )

    def _given_up(self, last: _TryAgainError, answers_before: int) -> Exception:
        attempts = self._llm.attempts
        times = "one attempt" if attempts == 1 else f"{attempts} attempts"
        if not self._health.is_down(unreachable=last.unreachable, answers_before=answers_before):
            return CallFailedError(f"{times} at {self._shown} failed, the last one with: {last}")
        return EngineDownError(
            f"{self._shown} does not answer; {times} of a call failed, the last one with: "
            f"{last}. Check that the endpoint runs and `url` is right; if it is overloaded, "
            "lower `max_in_flight` or raise `timeout`. Then run again: what is answered is kept."
        )

    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self._key.headers()}

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None or self._client.closed:
            total = self._llm.timeout.total_seconds()
            timeout = aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT_SECONDS)
            # The gateway bounds what is in flight; a bound here would count as latency.
            connector = aiohttp.TCPConnector(limit=0)
            self._client = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._client


def _completions(url: str) -> str:
    """Address of the calls; a query (`?api-version=...`) stays."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions").geturl()


def _without_secrets(url: str) -> str:
    """`url` as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
