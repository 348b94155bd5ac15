"""Between those who ask and the engine: each call is made once, journaled and accounted for."""

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from operators.llm.budget import Budget
from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError, Engine, EngineDownError
from operators.llm.errors import BudgetReachedError, ModelUnavailableError
from operators.llm.journal import AnswerJournal
from operators.llm.order import sending_order
from operators.llm.spec import OpenAiLlm, VllmLlm

_LOG = logging.getLogger(__name__)
REMEMBERED = 100_000  # Answers kept in memory: about 100 MB.


@dataclass(eq=False)
class _Call:
    """A call that is queued or in flight, and how many callers wait for it."""

    call_id: str
    request: Request
    outcome: "asyncio.Future[Answer | Exception]"
    waiting: int = 0


class Gateway:
    """One model, for many callers in one event loop.

    A call is looked up first: among the answers remembered and journaled, then among those
    in flight. Only what is in neither is sent, in `sending_order`, at most
    `llm.max_in_flight` at once over all callers. An answer is in the journal before anybody
    gets it. A caller that is cancelled takes back what it alone waits for and what has not
    been sent; what has been sent is answered, journaled and remembered.

    Args:
        llm: the model.
        engine: what runs or reaches it; closed by `close`.
        journal: where answers are kept until they are committed; None keeps none.
        budget: bounds of what may be spent; may be shared with other gateways of the loop.
        remembered: answers kept in memory, least recently used dropped first.
    """

    def __init__(
        self,
        llm: VllmLlm | OpenAiLlm,
        engine: Engine,
        journal: AnswerJournal | None = None,
        budget: Budget | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self._llm = llm
        self._engine = engine
        self._journal = journal
        self._budget = budget or Budget()
        self._remembered = remembered
        self._counts: Counter[str] = Counter()
        self._cost = 0.0
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._from_before: set[str] = set()
        self.remember(journal.load() if journal else ())
        self._calls: dict[str, _Call] = {}
        self._queue: deque[_Call] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        self._down: EngineDownError | None = None

    async def generate(self, requests: Sequence[Request]) -> list[Answer]:
        """An answer to each request, in order; status `unanswered` where its attempts failed.

        Raises:
            BudgetReachedError: the budget is used up; what was in flight is journaled.
            ModelUnavailableError: the engine is down; what was in flight is journaled.
        """
        call_ids = [request.call_id(self._llm) for request in requests]
        wanted = dict(zip(call_ids, requests, strict=True))
        known = {call_id: self._recall(call_id) for call_id in wanted if call_id in self._answers}
        calls = self._enlist({key: wanted[key] for key in wanted if key not in known})
        self._counts["shared"] += len(requests) - len(wanted)
        outcomes = await self._outcomes(calls)
        _raise_first(outcomes.values())
        return [_answer(known.get(call_id) or outcomes[call_id]) for call_id in call_ids]

    def remember(self, answers: Iterable[Answer]) -> None:
        """Take answers of earlier runs in: they are not asked for again."""
        for answer in answers:
            self._from_before.add(answer.call_id)
            self._remember(answer)

    def spent(self) -> dict[str, float]:
        """What the calls took since the gateway was made.

        `calls` answered by the engine, `failed` without an answer, `tokens_in`, `tokens_out`,
        `cached_tokens`, `cost` in US dollars; and requests that cost nothing: `shared` with
        an equal one, before or at the same time, and `journaled` or recorded by earlier runs.
        """
        names = ("calls", "failed", "tokens_in", "tokens_out", "cached_tokens")
        counts = {name: self._counts[name] for name in (*names, "shared", "journaled")}
        return {**counts, "cost": self._cost}

    async def close(self) -> None:
        """Wait for what is in flight, send nothing more, close the engine."""
        while self._queue:
            self._settle(self._queue.popleft(), ModelUnavailableError("The gateway is closed."))
        if self._flying:
            await asyncio.wait(self._flying)
        await self._engine.close()

    def _enlist(self, wanted: dict[str, Request]) -> list[_Call]:
        """The calls for `wanted`, joined where they are under way, else queued."""
        joined = [self._calls[call_id] for call_id in wanted if call_id in self._calls]
        loop = asyncio.get_running_loop()
        by_request = {
            id(request): _Call(call_id, request, loop.create_future())
            for call_id, request in wanted.items()
            if call_id not in self._calls
        }
        ordered = sending_order(call.request for call in by_request.values())
        new = [by_request[id(request)] for request in ordered]
        self._calls.update((call.call_id, call) for call in new)
        self._queue.extend(new)
        self._counts["shared"] += len(joined)
        return [*joined, *new]

    async def _outcomes(self, calls: Sequence[_Call]) -> dict[str, Answer | Exception]:
        """What came of each call, once all have ended."""
        for call in calls:
            call.waiting += 1
        try:
            self._send()
            if calls:
                # Unlike `gather`, it leaves the calls alone when the caller is cancelled.
                await asyncio.wait([call.outcome for call in calls])
        finally:
            for call in calls:
                call.waiting -= 1
        return {call.call_id: call.outcome.result() for call in calls}

    def _send(self) -> None:
        """Send what is queued, as far as there is room."""
        while self._queue and len(self._flying) < self._llm.max_in_flight:
            call = self._queue.popleft()
            if not call.waiting:
                self._calls.pop(call.call_id, None)  # All who wanted it were cancelled.
            elif (stop := self._reason_to_stop()) is not None:
                self._settle(call, stop)
            else:
                task = asyncio.create_task(self._fly(call))
                self._flying.add(task)
                task.add_done_callback(self._landed)

    def _reason_to_stop(self) -> Exception | None:
        if self._down is not None:
            return ModelUnavailableError(str(self._down))
        try:
            self._budget.check()
        except BudgetReachedError as error:
            return error
        return None

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._flying.discard(task)
        self._send()
        if not self._flying:
            self._down = None  # Nothing is left to stop: whoever asks again may try.

    async def _fly(self, call: _Call) -> None:
        try:
            outcome = await self._complete(call)
        except asyncio.CancelledError:
            self._calls.pop(call.call_id, None)
            call.outcome.cancel()
            raise
        self._settle(call, outcome)

    async def _complete(self, call: _Call) -> Answer | Exception:
        try:
            answer = await self._engine.complete(call.request, call.call_id)
        except CallFailedError as error:
            self._counts["failed"] += 1
            return Answer(call.call_id, "unanswered", str(error))
        except EngineDownError as error:
            self._down = error
            return ModelUnavailableError(str(error))
        except Exception as error:  # A fault of the engine's code: the caller gets to see it.
            return error
        self._write_down(answer)
        self._account(answer)
        self._remember(answer)
        return answer

    def _settle(self, call: _Call, outcome: Answer | Exception) -> None:
        self._calls.pop(call.call_id, None)
        if not call.outcome.done():
            call.outcome.set_result(outcome)

    def _write_down(self, answer: Answer) -> None:
        """Journal an answer; without it, it is only paid again if the process is killed."""
        if self._journal is None:
            return
        try:
            self._journal.append(answer)
        except OSError as error:
            _LOG.error("answers are not journaled any more: %s", error)
            self._journal = None

    def _account(self, answer: Answer) -> None:
        tokens_in, cached, tokens_out = answer.tokens_in, answer.cached_tokens, answer.tokens_out
        cost = self._llm.price.of(tokens_in, cached, tokens_out)
        self._counts.update(
            calls=1, tokens_in=tokens_in, tokens_out=tokens_out, cached_tokens=cached
        )
        self._cost += cost
        self._budget.spend(tokens_in + tokens_out, cost)

    def _recall(self, call_id: str) -> Answer:
        self._answers.move_to_end(call_id)
        self._counts["journaled" if call_id in self._from_before else "shared"] += 1
        return self._answers[call_id]

    def _remember(self, answer: Answer) -> None:
        self._answers[answer.call_id] = answer
        while len(self._answers) > self._remembered:
            self._answers.popitem(last=False)


def _raise_first(outcomes: Iterable[Answer | Exception]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _answer(outcome: Answer | Exception) -> Answer:
    assert isinstance(outcome, Answer)  # The others have been raised.
    return outcome
