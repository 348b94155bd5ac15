"""Who asked a model what: answers that are recorded are not asked for again."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import orjson
import polars as pl
import pyarrow as pa

from operators.base import ModelAccess, Models, Vectors
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm
from schemas.ids import content_hash, content_id
from schemas.tables import TABLES
from transforms.frame import Conversation, keep_conversations, to_arrow, to_polars
from transforms.step import Step

INVALID_OUTPUT = "invalid_output"
NO_ANSWER = "no_answer"
MODEL_REASONS = (INVALID_OUTPUT, NO_ANSWER)

_CallKey = tuple[str, str, str, str]  # tenant, conversation, session, call
_Key = tuple[str, str, str]  # tenant, conversation, session


@dataclass
class CallLedger(Models):
    """The models as one run of one step sees them.

    A call that `recorded` holds an answer to is answered from there, whatever session or
    conversation it was made for: sessions that become one are not paid for again. All calls
    that the rows of the step rest on, asked now or before, become rows of `artifacts`; answers
    that the step could not use become dead letters.

    Attributes:
        models: whom to ask what is not recorded.
        step: the step that runs.
        recorded: rows of `artifacts` of the conversations at hand.
    """

    models: ModelAccess
    step: Step
    recorded: pa.Table
    counters: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        """Nothing has been asked yet."""
        self._known: _Recorded | None = None
        self._rows: dict[_CallKey, dict[str, object]] = {}
        self._letters: dict[_Key, list[dict[str, object]]] = {}
        self.unanswered: set[Conversation] = set()

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """As the models do; vectors are recorded by the operator."""
        return self.models.embed(texts, model_id)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """As the models do."""
        return self.models.token_counts(texts, model_id)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        """Recorded answers, and the model's to all other requests at once."""
        keys = [_key(request, request.call_id(llm)) for request in requests]
        found = {key: answer for key in keys if (answer := self._answers().get(key)) is not None}
        missing = {
            key[3]: request for key, request in zip(keys, requests, strict=True) if key not in found
        }
        made: dict[str, Answer] = {}
        if missing:
            answers = self.models.generate(llm, list(missing.values()))
            made = dict(zip(missing, answers, strict=True))
            self.counters["round_trips"] += 1
            self.counters["calls"] += len(missing)
        out = [found.get(key) or made[key[3]] for key in keys]
        for key, request, answer in zip(keys, requests, out, strict=True):
            if answer.status == "unanswered":
                self._note_unanswered(request, answer)
            elif answer.status != "predicted":
                self._rows[key] = self._row(llm, request, answer)
        self.counters["answers_recorded"] += len(keys) - sum(key[3] in made for key in keys)
        return out

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        """A dead letter with the raw answer."""
        detail = (
            f"Step '{self.step.id}' cannot use an answer of the model: {reason}. The rules stand "
            "in. Another model or prompt may do better; both are in the pipeline."
        )
        self.counters["set_aside"] += 1
        self._add_letter(request, INVALID_OUTPUT, detail, answer)

    def artifacts(self) -> pa.Table:
        """The calls, as rows."""
        rows = [self._rows[key] for key in sorted(self._rows)]
        return pa.Table.from_pylist(rows, schema=TABLES["artifacts"].schema)

    def dead_letters(self) -> pa.Table:
        """Answers that could not be used, and calls without one."""
        rows = [letter for key in sorted(self._letters) for letter in self._letters[key]]
        return pa.Table.from_pylist(rows, schema=TABLES["dead_letters"].schema)

    def _answers(self) -> "_Recorded":
        if self._known is None:
            self._known = _Recorded(self.recorded)
        return self._known

    def _note_unanswered(self, request: Request, answer: Answer) -> None:
        conversation = (request.tenant, request.conversation_id)
        self.unanswered.add(conversation)
        self.counters["unanswered"] += 1
        detail = (
            f"Step '{self.step.id}' got no answer from the model: {answer.text}. The rules stand "
            "in until the next run, which asks again."
        )
        self._add_letter(request, NO_ANSWER, detail, answer)

    def _add_letter(self, request: Request, reason: str, detail: str, answer: Answer) -> None:
        key = (request.tenant, request.conversation_id, request.session_id)
        letters = self._letters.setdefault(key, [])
        raw = {
            "tenant": request.tenant,
            "conversation_id": request.conversation_id,
            "key": request.session_id,
            "artifact_id": answer.call_id,
            "output": answer.text,
        }
        letters.append(
            {
                "dead_letter_id": model_letter_id(self.step.id, *key, len(letters)),
                "step": self.step.id,
                "reason": reason,
                "detail": detail,
                "raw": orjson.dumps(raw),
                "source": None,
                "offset": None,
                "tenant": request.tenant,
            }
        )

    def _row(self, llm: AnyLlm, request: Request, answer: Answer) -> dict[str, object]:
        turns = [part for turn in request.turns for part in turn]
        return {
            "tenant": request.tenant,
            "conversation_id": request.conversation_id,
            "session_id": request.session_id,
            "artifact_id": answer.call_id,
            "step": self.step.id,
            "fingerprint": self.step.operator.fingerprint(),
            "model_id": llm.model_id,
            "prompt": request.prompt,
            "input_hash": content_hash("turns", *turns),
            "status": answer.status,
            "output": answer.text,
            "output_hash": content_hash(answer.text),
            "tokens_in": answer.tokens_in,
            "tokens_out": answer.tokens_out,
            "cached_tokens": answer.cached_tokens,
            "latency_ms": answer.latency_ms,
            "cost": llm.price.of(answer.tokens_in, answer.cached_tokens, answer.tokens_out),
        }


class _Recorded:
    """Recorded answers: those to the same key first, then those to the same call."""

    def __init__(self, artifacts: pa.Table) -> None:
        self._by_key = dict(_recorded_answers(artifacts))
        # In a fixed order, so that it does not depend on that of the rows which one is taken.
        self._by_call = {key[3]: self._by_key[key] for key in sorted(self._by_key, reverse=True)}

    def get(self, key: _CallKey) -> Answer | None:
        """The answer to a call; None where there is none."""
        return self._by_key.get(key) or self._by_call.get(key[3])


def with_kept(
    calls: pa.Table, recorded: pa.Table, step: str, conversations: Collection[Conversation]
) -> pa.Table:
    """Rows of `artifacts`, with those recorded that a step may ask for again.

    Where a step failed, or got no answer, it has not asked for all it had, nor have the steps
    behind it. What these conversations had is kept until they are whole: nothing is paid twice.
    """
    if not conversations or not recorded.num_rows:
        return calls
    key = list(TABLES["artifacts"].key)
    rows = to_polars(keep_conversations(recorded, conversations))
    spare = rows.filter((pl.col("step") == step) & pl.col("output").is_not_null())
    spare = spare.join(to_polars(calls).select(key), on=key, how="anti")
    return pa.concat_tables([calls, to_arrow(spare, "artifacts")])


def model_letter_id(step: str, tenant: str, conversation: str, session: str, number: int) -> str:
    """Id of the `number`th dead letter of a key's answers, from 0 on without gaps."""
    return content_id("dead", step, INVALID_OUTPUT, tenant, conversation, session, number)


def _key(request: Request, call_id: str) -> _CallKey:
    return request.tenant, request.conversation_id, request.session_id, call_id


def answers_of(artifacts: pa.Table) -> Iterator[Answer]:
    """The answers that rows of `artifacts` hold."""
    return (answer for _, answer in _recorded_answers(artifacts))


def _recorded_answers(artifacts: pa.Table) -> Iterator[tuple[_CallKey, Answer]]:
    names = (
        *("tenant", "conversation_id", "session_id", "artifact_id", "status", "output"),
        *("tokens_in", "tokens_out", "cached_tokens", "latency_ms"),
    )
    columns = [artifacts[name].to_pylist() for name in names]
    for tenant, conversation, session, call, status, output, *numbers in zip(*columns, strict=True):
        if output is None:  # An embedding: its vector is elsewhere.
            continue
        tokens_in, tokens_out, cached, latency = numbers
        answer = Answer(call, status, output, tokens_in, tokens_out, cached or 0, latency or 0.0)
        yield (tenant, conversation, session, call), answer
