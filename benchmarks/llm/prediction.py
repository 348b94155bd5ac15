"""What `memoryflow explain` expects of an input, beside what was recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.llm.build_speed import FLAT
from benchmarks.llm.command import explained, run, shipped
from benchmarks.llm.endpoint import simulated
from benchmarks.llm.inputs import Message, written
from benchmarks.llm.text_table import Row, TextTable


def prediction(messages: Sequence[Message], folder: Path) -> list[TextTable]:
    """Explain, run, explain again."""
    log = written(folder / "log.jsonl", messages)
    with simulated(**FLAT) as endpoint:
        pipeline = shipped(endpoint.url)
        run(log, folder / "warehouse", pipeline)
        found = explained(log, folder / "warehouse", pipeline)
    rows = compared(found["expected"]["steps"], found["recorded_calls"])
    note = "Tokens of a language model: sent and received; of an embedder: sent."
    return [TextTable("Expected by `explain`, and recorded", rows, [note])]


def compared(
    expected: Sequence[Mapping[str, Any]], recorded: Mapping[str, Mapping[str, Any]]
) -> list[Row]:
    """A row a step, and one for all calls of language models."""
    rows = [_row(one["step"], one, recorded.get(one["step"], {})) for one in expected]
    of_llm = [one for one in expected if one["cost"] == "llm"]
    done = [recorded.get(one["step"], {}) for one in of_llm]
    return [*rows, _row("all llm", _summed(of_llm), _summed(done))]


def _summed(steps: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {name: sum(one.get(name) or 0 for one in steps) for name in ("calls", "tokens")}


def _row(step: str, expected: Mapping[str, Any], recorded: Mapping[str, Any]) -> Row:
    return {
        "step": step,
        "calls expected": expected["calls"],
        "calls": recorded.get("calls", 0),
        "calls ratio": _ratio(expected["calls"], recorded.get("calls")),
        "tokens expected": expected["tokens"],
        "tokens": recorded.get("tokens", 0),
        "tokens ratio": _ratio(expected["tokens"], recorded.get("tokens")),
    }


def _ratio(expected: int | None, recorded: int | None) -> float | None:
    """Expected over recorded; none where there is nothing to compare."""
    return expected / recorded if expected is not None and recorded else None
