"""What an endpoint was asked: calls, tokens, concurrency, and chains of calls."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

_LISTED = 20


@dataclass
class Call:
    """One request that arrived.

    Attributes:
        key: hash of the body.
        prompt: first words of the system message.
        attempt: how often this body has arrived, this time included.
        depth: 1 + the greatest depth of the calls that had been answered before.
    """

    key: str
    prompt: str
    attempt: int
    depth: int


@dataclass
class PromptStats:
    """Of the calls with one system message; depths are of all that arrived."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    first_depth: int = 0
    last_depth: int = 0


@dataclass
class Accounting:
    """Counts for one measurement.

    `depth` is the longest chain of calls each of which arrived when the one before had been
    answered: the dependent round trips. It is exact where a client sends what it can at once;
    a client that holds calls back, or needs longer than the latency to send a round, gets
    more. So let the simulator cap the concurrency, and take a long latency.

    Attributes:
        calls: requests that arrived, repeated attempts included.
        answered: of those, by a whole reply with status 200.
        abandoned: the client went before the reply was sent.
        errors: faults by kind; those with a reply of status 200 are in `answered`, too.
        tokens_in, tokens_out, cached_tokens: of what was answered.
        in_flight, max_in_flight: those that wait for a place included.
    """

    calls: int = 0
    answered: int = 0
    abandoned: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    embedding_calls: int = 0
    embedding_tokens: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    depth: int = 0
    prompts: dict[str, PromptStats] = field(default_factory=dict[str, PromptStats])
    _attempts: Counter[str] = field(default_factory=Counter[str])
    _answers: Counter[str] = field(default_factory=Counter[str])
    _first: float = 0.0
    _last: float = 0.0

    def arrived(self, key: str, prompt: str) -> Call:
        """A request came in."""
        self._first = self._first or time.perf_counter()
        self.calls += 1
        self._attempts[key] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        call = Call(key, prompt, self._attempts[key], self.depth + 1)
        stats = self.prompts.setdefault(prompt, PromptStats(first_depth=call.depth))
        stats.calls += 1
        stats.last_depth = call.depth
        return call

    def left(self) -> None:
        """A request is over, in whatever way."""
        self.in_flight -= 1
        self._last = time.perf_counter()

    def sent(self, call: Call, tokens_in: int, tokens_out: int, cached: int) -> None:
        """A whole answer went to a client that still was there."""
        self.answered += 1
        self._answers[call.key] += 1
        self.depth = max(self.depth, call.depth)
        for stats in (self, self.prompts[call.prompt]):
            stats.tokens_in += tokens_in
            stats.tokens_out += tokens_out
            stats.cached_tokens += cached

    def failed(self, call: Call, kind: str) -> None:
        """The client got an error; what it sends next had to wait for that, too."""
        self.errors[kind] += 1
        self.depth = max(self.depth, call.depth)

    def report(self) -> dict[str, Any]:
        """All counts, in JSON form."""
        repeated = sorted(key for key, times in self._answers.items() if times > 1)
        counts = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if not name.startswith("_") and name != "prompts"
        }
        return counts | {
            "errors": dict(sorted(self.errors.items())),
            "distinct_calls": len(self._attempts),
            "repeated_calls": sum(self._answers[key] - 1 for key in repeated),
            "repeated": {key: self._answers[key] for key in repeated[:_LISTED]},
            "uncached_tokens": self.tokens_in - self.cached_tokens,
            "wall_s": round(max(0.0, self._last - self._first), 4),
            "prompts": {name: asdict(stats) for name, stats in self.prompts.items()},
        }
