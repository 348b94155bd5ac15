"""One step over one frame: compute what is dirty, keep what is recorded, isolate what fails."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson
import pyarrow as pa

from operators.base import Key, Models, StepResult
from schemas.ids import content_id
from schemas.tables import TABLES
from transforms.frame import Frame, StampKey
from transforms.reuse import Keys, merge_written, recorded_rows, split_keys
from transforms.step import Step, tables_read, writes_of

OPERATOR_ERROR = "operator_error"


class ModelUnavailableError(RuntimeError):
    """A model cannot be reached: the run stops, because no input is to blame."""


def apply_step(step: Step, frame: Frame, models: Models) -> Frame:
    """The frame with the step's tables added.

    A key whose computation raises goes to `dead_letters` with the error and yields no rows;
    all other keys are unaffected. `ModelUnavailableError` is not caught: it is no fault of
    the data.
    """
    dirty, clean = split_keys(step, frame)
    inputs = {name: frame.table(name) for name in tables_read(step)}
    if step.key is Key.TEXT:
        # Texts are reused one by one, by their hash, so the recorded ones go in as input.
        inputs |= {write.table: frame.existing_table(write.table) for write in writes_of(step)}
    result, failed = _run_isolated(step, inputs, dirty, models)
    kept = recorded_rows(step, frame, clean) if clean.stamps else {}
    broken = frame.broken | {key[:2] for key in failed}
    stamps = {k: v for k, v in {**dirty.stamps, **clean.stamps}.items() if k[:2] not in broken}
    counters = {"computed": len(dirty.stamps) - len(failed), "kept": len(clean.stamps)}
    return replace(
        frame,
        tables={**frame.tables, **merge_written(step, frame, result.tables, kept)},
        new_stamps={**frame.new_stamps, **stamps},
        broken=broken,
        dead_letters=(*frame.dead_letters, *_dead_letters(step, failed)),
        counters={**frame.counters, step.id: {**result.counters, **counters}},
    )


def _run_isolated(
    step: Step, inputs: Mapping[str, pa.Table], keys: Keys, models: Models
) -> tuple[StepResult, dict[StampKey, Exception]]:
    """All keys at once; on an error one by one, so that only the guilty ones are lost."""
    if not keys.stamps:
        return _no_rows(step), {}
    try:
        return step.operator.run(_inputs_of(inputs, keys), models), {}
    except ModelUnavailableError:
        raise
    except Exception:
        return _run_one_by_one(step, inputs, keys, models)


def _run_one_by_one(
    step: Step, inputs: Mapping[str, pa.Table], keys: Keys, models: Models
) -> tuple[StepResult, dict[StampKey, Exception]]:
    results = [_no_rows(step)]
    failed: dict[StampKey, Exception] = {}
    for single in _singles(keys):
        try:
            results.append(step.operator.run(_inputs_of(inputs, single), models))
        except ModelUnavailableError:
            raise
        except Exception as error:
            failed.update(dict.fromkeys(single.stamps, error))
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
