"""One step over one frame: compute what is dirty, keep what is recorded, isolate what fails."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson
import pyarrow as pa

from operators.base import Key, ModelAccess, StepResult
from operators.llm.errors import ModelUnavailableError
from schemas.ids import content_id
from schemas.tables import TABLES
from transforms.call_ledger import CallLedger, with_kept
from transforms.frame import SCOPE, Conversation, Frame, StampKey
from transforms.reuse import Keys, merge_written, recorded_rows, split_keys
from transforms.step import Step, tables_read, writes_of
from transforms.step_time import MILLISECONDS, milliseconds_since

OPERATOR_ERROR = "operator_error"


def apply_step(step: Step, frame: Frame, models: ModelAccess) -> Frame:
    """The frame with the step's tables added.

    A key whose computation raises goes to `dead_letters` with the error and yields no rows,
    except of the calls that it had made; all other keys are unaffected.
    `ModelUnavailableError` is not caught: it is no fault of the data.
    """
    dirty, clean = split_keys(step, frame)
    inputs = {name: frame.table(name) for name in tables_read(step)}
    if step.key is Key.TEXT:
        # Texts are reused one by one, by their hash, so the recorded ones go in as input.
        inputs |= {write.table: frame.existing_table(write.table) for write in writes_of(step)}
    calls = _Calls(step, models, frame.existing_table("artifacts"))
    start = time.perf_counter()
    result, failed = _run_isolated(step, inputs, dirty, calls)
    spent = milliseconds_since(start)
    kept = recorded_rows(step, frame, clean) if clean.stamps else {}
    # What stands in for an answer is kept, but not stamped: the next run asks again.
    broken = frame.broken | {key[:2] for key in failed} | calls.unanswered
    stamps = {k: v for k, v in {**dirty.stamps, **clean.stamps}.items() if k[:2] not in broken}
    counters = {
        "computed": len(dirty.stamps) - len(failed),
        "kept": len(clean.stamps),
        MILLISECONDS: spent,
    }
    untouched = Keys(step.key, dict.fromkeys(failed, ""))
    written = merge_written(step, frame, result.tables, kept, untouched)
    if step.operator.llm_parts():
        recorded = frame.existing_table("artifacts")
        written["artifacts"] = with_kept(written["artifacts"], recorded, step.id, broken)
    return replace(
        frame,
        tables={**frame.tables, **written},
        new_stamps={**frame.new_stamps, **stamps},
        broken=broken,
        dead_letters=(*frame.dead_letters, *_dead_letters(step, failed), *calls.dead_letters),
        asked=frame.asked | {(step.id, *key) for key in _letter_keys(frame, dirty)},
        counters={**frame.counters, step.id: {**result.counters, **calls.counters, **counters}},
    )


def _letter_keys(frame: Frame, dirty: Keys) -> set[tuple[str, str, str]]:
    """(tenant, conversation, session) under which the step's answers may have left letters.

    A step over whole conversations may ask by session, too; and sessions that are no more (a
    late message has made two of them one) have none any more.
    """
    keys = {key[:3] for key in dirty.stamps}
    conversations = {key[:2] for key in dirty.stamps}
    existing = _sessions(frame.existing_table("sessions"))
    if dirty.kind is Key.CONVERSATION:
        return keys | {key for key in existing if key[:2] in conversations}
    return keys | (existing - _sessions(frame.table("sessions")))


def _sessions(sessions: pa.Table) -> set[tuple[str, str, str]]:
    columns = [sessions[name].to_pylist() for name in (*SCOPE, "session_id")]
    return {(str(t), str(c), str(s)) for t, c, s in zip(*columns, strict=True)}


class _Calls:
    """Ledgers of the calls of a step: one for each run of its operator.

    Attributes:
        dead_letters: of the runs that succeeded.
        unanswered: conversations in which one of these got no answer.
        counters: of all runs.
    """

    def __init__(self, step: Step, models: ModelAccess, recorded: pa.Table) -> None:
        self._step, self._models, self._recorded = step, models, recorded
        self.dead_letters: list[pa.Table] = []
        self.unanswered: set[Conversation] = set()
        self.counters: Counter[str] = Counter()
        self._last: pa.Table = TABLES["artifacts"].empty()

    def run(self, inputs: Mapping[str, pa.Table]) -> StepResult:
        """Run the operator; the calls it made become rows of `artifacts`."""
        ledger = CallLedger(self._models, self._step, self._recorded)
        try:
            result = self._step.operator.run(inputs, ledger)
        finally:
            self.counters.update(ledger.counters)
            self._last = ledger.artifacts()
        letters = ledger.dead_letters()
        if letters.num_rows:
            self.dead_letters.append(letters)
        self.unanswered |= ledger.unanswered
        if not self._step.operator.llm_parts():
            return result
        made = [self._last, *_given(result, "artifacts")]
        return replace(result, tables={**result.tables, "artifacts": pa.concat_tables(made)})

    def keep_answers(self) -> None:
        """What the last run was answered is known from now on, although it failed."""
        self._recorded = pa.concat_tables([self._recorded, self._last])

    def left(self) -> StepResult:
        """What a run that failed leaves: its calls are paid, and need not be paid again."""
        rows = _no_rows(self._step)
        if not self._step.operator.llm_parts():
            return rows
        return replace(rows, tables={**rows.tables, "artifacts": self._last})


def _given(result: StepResult, name: str) -> list[pa.Table]:
    return [result.tables[name]] if name in result.tables else []


def _run_isolated(
    step: Step, inputs: Mapping[str, pa.Table], keys: Keys, calls: _Calls
) -> tuple[StepResult, dict[StampKey, Exception]]:
    """All keys at once; on an error one by one, so that only the guilty ones are lost."""
    if not keys.stamps:
        return _no_rows(step), {}
    try:
        return calls.run(_inputs_of(inputs, keys)), {}
    except ModelUnavailableError:
        raise
    except Exception:
        calls.keep_answers()
        return _run_one_by_one(step, inputs, keys, calls)


def _run_one_by_one(
    step: Step, inputs: Mapping[str, pa.Table], keys: Keys, calls: _Calls
) -> tuple[StepResult, dict[StampKey, Exception]]:
    results = [_no_rows(step)]
    failed: dict[StampKey, Exception] = {}
    for single in _singles(keys):
        try:
            results.append(calls.run(_inputs_of(inputs, single)))
        except ModelUnavailableError:
            raise
        except Exception as error:
            failed.update(dict.fromkeys(single.stamps, error))
            results.append(calls.left())
    return _concatenate(results), failed


def _singles(keys: Keys) -> Iterator[Keys]:
    for key, stamp in keys.stamps.items():
        yield Keys(keys.kind, {key: stamp})


def _inputs_of(inputs: Mapping[str, pa.Table], keys: Keys) -> dict[str, pa.Table]:
    return {name: keys.rows(table) for name, table in inputs.items()}


def _no_rows(step: Step) -> StepResult:
    return StepResult({write.table: TABLES[write.table].empty() for write in writes_of(step)})


def _concatenate(results: list[StepResult]) -> StepResult:
    counters: Counter[str] = Counter()
    for result in results:
        counters.update(result.counters)
    names = results[0].tables
    tables = {name: pa.concat_tables([r.tables[name] for r in results]) for name in names}
    return StepResult(tables, dict(counters))


def _dead_letters(step: Step, failed: Mapping[StampKey, Exception]) -> list[pa.Table]:
    if not failed:
        return []
    schema = TABLES["dead_letters"].schema
    rows = [_dead_letter(step, key, error) for key, error in failed.items()]
    return [pa.Table.from_pylist(rows, schema=schema)]


def _dead_letter(step: Step, key: StampKey, error: Exception) -> dict[str, object]:
    tenant, conversation, session, _ = key
    return {
        "dead_letter_id": failure_id(step.id, tenant, conversation, session),
        "step": step.id,
        "reason": OPERATOR_ERROR,
        "detail": (
            f"Operator '{step.operator.operator}' failed on this {step.key.value}: "
            f"{type(error).__name__}: {error}. Its messages are kept; fix the operator (or its "
            "parameters) and run again."
        ),
        "raw": _raw(tenant, conversation, session),
        "source": None,
        "offset": None,
        "tenant": tenant,
    }


def failure_id(step: str, tenant: str, conversation: str, key: str) -> str:
    """Id of the dead letter of a key on which a step failed."""
    return content_id("dead", step, OPERATOR_ERROR, _raw(tenant, conversation, key))


def _raw(tenant: str, conversation: str, key: str) -> bytes:
    return orjson.dumps({"tenant": tenant, "conversation_id": conversation, "key": key})
