"""What is asked twice after kills, and what is lost by faults, at a simulated endpoint."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.llm.build_speed import FLAT, AtEndpoint
from benchmarks.llm.command import Built, changed, run, run_and_kill, shipped
from benchmarks.llm.endpoint import Endpoint, simulated
from benchmarks.llm.inputs import Message, written
from benchmarks.llm.made import by_rules, dead_letters, without_fact
from benchmarks.llm.text_table import Row, TextTable
from benchmarks.streaming.process import digest

_FAULTS = {"truncated": 0.1, "http_500": 0.1, "hang": 1}
_TIMEOUT = "5s"
_LAST = 0.95
"""Share of all calls before which the last kill falls."""


def second_run_and_kills(messages: Sequence[Message], folder: Path, kills: int) -> list[TextTable]:
    """A second run of the same input; a run that is killed again and again."""
    log = written(folder / "log.jsonl", messages)
    with simulated(**FLAT) as endpoint:
        pipeline = shipped(endpoint.url)
        run(log, folder / "whole", pipeline)
        first = endpoint.stats()
        again = run(log, folder / "whole", pipeline)
        rows = [_run_row("first", first), _second_row(first, endpoint.stats(), again)]
    killed = _killed(log, folder / "killed", first["calls"], kills)
    same = digest(folder / "whole") == digest(folder / "killed")
    rows.append({**_run_row(f"killed {len(killed.in_flight)} times", killed.stats), "digest": same})
    notes = (
        f"Killed after {', '.join(map(str, killed.after))} calls, with "
        f"{', '.join(map(str, killed.in_flight))} in flight.",
        "Arrived again: of the same body; allowed are those in flight at the kills. Answered "
        "twice: the answer was sent, and the kill came before it was in the journal.",
    )
    return [TextTable("A second run, and kills", rows, notes)]


def _run_row(name: str, stats: dict[str, Any]) -> Row:
    return {
        "run": name,
        "calls": stats["calls"],
        "different calls": stats["distinct_calls"],
        "arrived again": stats["calls"] - stats["distinct_calls"],
        "given up by kills": stats["abandoned"],
        "answered twice": stats["repeated_calls"],
        "digest": None,
    }


def _second_row(first: dict[str, Any], both: dict[str, Any], again: Built) -> Row:
    row = _run_row(f"second ({again.process_seconds:.1f} s)", both)
    return row | {name: both[key] - first[key] for name, key in _COUNTED.items()}


_COUNTED = {"calls": "calls", "different calls": "distinct_calls"}


@dataclass
class _Killed:
    """Calls that had arrived at each kill, those in flight, and all in the end."""

    after: list[int] = field(default_factory=list[int])
    in_flight: list[int] = field(default_factory=list[int])
    stats: dict[str, Any] = field(default_factory=dict[str, Any])


def _killed(log: Path, warehouse: Path, calls: int, kills: int) -> _Killed:
    """Kill when random numbers of calls have arrived, then run to the end."""
    found = _Killed()
    chance = random.Random(kills)
    with simulated(**FLAT) as endpoint:
        pipeline = shipped(endpoint.url)
        for moment in sorted(chance.sample(range(1, int(calls * _LAST)), kills)):
            if run_and_kill(log, warehouse, pipeline, lambda: _reached(endpoint, moment, found)):  # noqa: B023 - called before the next round
                continue
            raise RuntimeError(f"the run ended before {moment} calls; nothing was killed")
        run(log, warehouse, pipeline)
        found.stats = endpoint.stats()
    return found


def _reached(endpoint: Endpoint, calls: int, found: _Killed) -> bool:
    stats = endpoint.stats()
    if stats["calls"] < calls:
        return False
    found.after.append(stats["calls"])
    found.in_flight.append(stats["in_flight"])
    return True


def faults(messages: Sequence[Message], folder: Path) -> list[TextTable]:
    """A tenth truncated, a tenth HTTP 500, and a hang, beside a run without."""
    log = written(folder / "log.jsonl", messages)
    plain = _with_timeout(log, folder / "plain", {})
    faulty = _with_timeout(log, folder / "faulty", dict(_FAULTS))
    lost = sorted(set(without_fact(faulty.warehouse)) - set(without_fact(plain.warehouse)))
    rows = [_fault_row("none", plain), _fault_row("10% cut, 10% 500, 1 hang", faulty)]
    notes = (
        f"The client waits {_TIMEOUT} for an answer.",
        f"Messages that have a fact without faults, and none with them: {len(lost)} {lost[:5]}",
        f"Dead letters: {dead_letters(faulty.warehouse)}",
        f"Errors that the client saw: {faulty.stats['errors']}",
    )
    return [TextTable("Faults", rows, notes)]


def _with_timeout(log: Path, folder: Path, faulty: dict[str, float]) -> AtEndpoint:
    with simulated(**FLAT, **faulty) as endpoint:
        pipeline = changed(folder, endpoint.url, timeout=_TIMEOUT)
        built = run(log, folder / "warehouse", pipeline)
        return AtEndpoint(built, endpoint.stats(), folder / "warehouse", FLAT)


def _fault_row(name: str, one: AtEndpoint) -> Row:
    rules = by_rules(one.warehouse)
    return {
        "faults": name,
        "wall s": one.built.seconds,
        "calls": one.stats["calls"],
        "different calls": one.stats["distinct_calls"],
        "dead letters": sum(dead_letters(one.warehouse).values()),
        "unanswered": sum(one.built.by_step("unanswered").values()),
        **{f"{table} by rules": count for table, count in rules.items()},
        "messages of 8 words without a fact": len(without_fact(one.warehouse)),
    }
