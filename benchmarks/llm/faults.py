"""What goes wrong at a simulated endpoint, chosen by hash: the same run has the same faults."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from benchmarks.llm.lines import draw

Fault = Literal["http_500", "http_429", "disconnect", "truncated", "malformed", "refuse", "slow"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

_MALFORMED = (
    "Sure! Here is the JSON you asked for: {}",
    "{}}}]",
    '{{"unexpected": "field"}}',
    "[]",
    "```json\n{}\n```",
)


@dataclass(frozen=True)
class Faults:
    """Shares of requests, 0 to 1 together; each attempt of a request is drawn anew.

    Attributes:
        http_500: status 500, after the latency.
        http_429: status 429 with Retry-After, at once.
        disconnect: the connection is closed without an answer, after the latency.
        truncated: the answer ends early, `finish_reason` is `length`.
        malformed: status 200, with an answer that is not of the form asked for.
        refuse: status 200, `refusal` instead of content.
        slow: answered after ten times the latency.
        hang: so many requests, the first to arrive, are never answered.
        seed: of the draws.
    """

    http_500: float = 0.0
    http_429: float = 0.0
    disconnect: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    refuse: float = 0.0
    slow: float = 0.0
    hang: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = [getattr(self, field.name) for field in fields(self) if field.name in FAULTS]
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"shares of faults must be 0 to 1 together, not {shares}")

    def choose(self, request: str, attempt: int) -> Fault | None:
        """The fault of an attempt (from 1) of a request."""
        drawn = draw("fault", request, str(attempt), str(self.seed)) / 2**64
        for fault in FAULTS:
            drawn -= getattr(self, fault)
            if drawn < 0:
                return fault
        return None


def truncated(answer: str, request: str) -> str:
    """A beginning of the answer, between none and all of it."""
    return answer[: draw("cut", request) % max(1, len(answer))]


def malformed(answer: str, request: str) -> str:
    """The answer as it must not be: with talk around it, or of another form."""
    return _MALFORMED[draw("form", request) % len(_MALFORMED)].format(answer)
