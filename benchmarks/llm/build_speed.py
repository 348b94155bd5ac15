"""Calls, depth, tokens and wall time of builds at a simulated endpoint."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.llm.command import Built, changed, run, shipped
from benchmarks.llm.endpoint import UNLIMITED, simulated
from benchmarks.llm.inputs import Message, one_conversation, text_tokens, written
from benchmarks.llm.made import recorded_by_step, shares_by_model
from benchmarks.llm.peers import peers
from benchmarks.llm.text_table import Row, TextTable

FLAT = {"latency_ms": 200.0, "concurrency": 64}
BY_LENGTH = {"latency_ms": 200.0, "per_token_ms": 10.0, "concurrency": 64}
_ALL_AT_ONCE = 2_000
_LONG_LATENCY = {"latency_ms": 4_000.0, "concurrency": UNLIMITED}
_LENGTHS = (100, 250, 500, 1_000, 2_000)


@dataclass(frozen=True)
class AtEndpoint:
    """A build, and what the endpoint was asked."""

    built: Built
    stats: dict[str, Any]
    warehouse: Path
    behaviour: dict[str, float]

    @property
    def least_seconds(self) -> float:
        """The time all answers take when the endpoint's places are never empty."""
        by_call = self.stats["calls"] * self.behaviour["latency_ms"]
        by_token = self.stats["tokens_out"] * self.behaviour.get("per_token_ms", 0.0)
        return (by_call + by_token) / 1000 / self.behaviour["concurrency"]


def at_endpoint(log: Path, folder: Path, behaviour: dict[str, float]) -> AtEndpoint:
    """Build into a fresh warehouse with the pipeline as it is shipped."""
    with simulated(**behaviour) as endpoint:
        built = run(log, folder / "warehouse", shipped(endpoint.url))
        return AtEndpoint(built, endpoint.stats(), folder / "warehouse", behaviour)


def all_at_once(log: Path, folder: Path) -> AtEndpoint:
    """The same for counting dependent round trips.

    Nothing is held back by the client, and the latency is long enough for a round to be sent
    before its first answer: otherwise waves would count as round trips.
    """
    with simulated(**_LONG_LATENCY) as endpoint:
        pipeline = changed(folder, endpoint.url, max_in_flight=_ALL_AT_ONCE)
        built = run(log, folder / "warehouse", pipeline)
        return AtEndpoint(built, endpoint.stats(), folder / "warehouse", _LONG_LATENCY)


def one_build(
    messages: Sequence[Message], folder: Path, times: int, peers_file: Path
) -> list[TextTable]:
    """One conversation at a flat latency: beside the peers, by step, and who made the rows."""
    log = written(folder / "log.jsonl", messages)
    timed = [at_endpoint(log, folder / f"run{number}", FLAT) for number in range(times)]
    middle = sorted(timed, key=lambda one: one.built.seconds)[len(timed) // 2]
    deep = all_at_once(log, folder / "deep")
    tokens = text_tokens(messages)
    return [
        _beside_peers(middle, deep, len(messages), tokens, peers_file),
        _timings(timed),
        _by_step(middle, deep, tokens),
        TextTable("Rows that the model made", shares_by_model(middle.warehouse)),
    ]


def _beside_peers(
    middle: AtEndpoint, deep: AtEndpoint, messages: int, tokens: int, peers_file: Path
) -> TextTable:
    stats = middle.stats
    ours: Row = {
        "system": "memoryflow, conversation_memory_llm",
        "calls": stats["calls"],
        "sent / text": stats["tokens_in"] / tokens,
        "not cached / text": stats["uncached_tokens"] / tokens,
        "received / text": stats["tokens_out"] / tokens,
        "most at once": stats["max_in_flight"],
        "depth": deep.stats["depth"],
        "depth / 100": 100 * deep.stats["depth"] / messages,
        "wall s": middle.built.seconds,
    }
    notes = (
        f"{messages} messages, {tokens:,} tokens of text; 200 ms a call, 64 at once.",
        "Wall: after start-up, median.",
        f"Depth counted with all in flight: {deep.built.round_trips} rounds by the client.",
    )
    return TextTable("One conversation, beside peers", [ours, *peers(peers_file)], notes)


def _timings(timed: Sequence[AtEndpoint]) -> TextTable:
    rows: list[Row] = [
        {
            "run": number,
            "after start-up s": one.built.seconds,
            "first call to last answer s": one.stats["wall_s"],
            "process s": one.built.process_seconds,
            "load average": one.built.load,
        }
        for number, one in enumerate(timed, 1)
    ]
    seconds = statistics.median(one.built.seconds for one in timed)
    return TextTable("Each run", rows, [f"Median after start-up: {seconds:.1f} s."])


def _by_step(middle: AtEndpoint, deep: AtEndpoint, tokens: int) -> TextTable:
    rounds = deep.built.by_step("round_trips")
    rows = [
        _step_row(step, rounds.get(step, 0), counts, tokens)
        for step, counts in recorded_by_step(middle.warehouse).items()
    ]
    names = ("calls", "sent", "cached", "received")
    recorded = recorded_by_step(middle.warehouse).values()
    total = {name: sum(counts[name] for counts in recorded) for name in names}
    rows.append(_step_row("all", sum(rounds.values()), total, tokens))
    same = all(
        middle.stats[theirs] == total[ours]
        for ours, theirs in zip(
            names[1:], ("tokens_in", "cached_tokens", "tokens_out"), strict=True
        )
    )
    note = f"The ledger and the endpoint count {'the same' if same else 'DIFFERENT'} tokens."
    return TextTable("By step, as recorded in `artifacts`", rows, [note])


def _step_row(step: str, rounds: int, counts: dict[str, int], tokens: int) -> Row:
    fresh = counts["sent"] - counts["cached"]
    return {
        "step": step,
        "round trips": rounds,
        "calls": counts["calls"],
        "sent": counts["sent"],
        "not cached": fresh,
        "received": counts["received"],
        "sent / text": counts["sent"] / tokens,
        "not cached / text": fresh / tokens,
        "received / text": counts["received"] / tokens,
    }


def many_conversations(messages: Sequence[Message], folder: Path) -> list[TextTable]:
    """A whole set, per 1,000 messages, at two kinds of latency."""
    log = written(folder / "log.jsonl", messages)
    rows = [
        _per_thousand("200 ms", at_endpoint(log, folder / "flat", FLAT), len(messages)),
        _per_thousand(
            "200 ms + 10 ms a token",
            at_endpoint(log, folder / "by_length", BY_LENGTH),
            len(messages),
        ),
    ]
    names = {message["conversation_id"] for message in messages}
    note = f"{len(messages):,} messages of {len(names)} conversations; 64 calls at once."
    return [TextTable("Per 1,000 messages", rows, [note])]


def _per_thousand(latency: str, one: AtEndpoint, messages: int) -> Row:
    thousands = messages / 1000
    stats, seconds = one.stats, one.built.seconds
    return {
        "latency": latency,
        "calls": round(stats["calls"] / thousands),
        "sent": round(stats["tokens_in"] / thousands),
        "not cached": round(stats["uncached_tokens"] / thousands),
        "received": round(stats["tokens_out"] / thousands),
        "wall s": seconds / thousands,
        "whole wall s": seconds,
        "if always 64 at once s": one.least_seconds / thousands,
        "load average": one.built.load,
    }


def by_length(messages: Sequence[Message], folder: Path) -> list[TextTable]:
    """Round trips against the length of one conversation."""
    rows = [
        _length_row(count, all_at_once(_joined(messages, count, folder), folder / str(count)))
        for count in _LENGTHS
        if count <= len(messages)
    ]
    notes = (
        "Conversations of the set, one after the other, as one; all calls in flight at once.",
        "Where personas are denied, `reflect` asks, too: one round trip more.",
    )
    return [TextTable("One conversation, longer and longer", rows, notes)]


def _joined(messages: Sequence[Message], count: int, folder: Path) -> Path:
    return written(folder / f"{count}.jsonl", one_conversation(messages, count))


def _length_row(count: int, one: AtEndpoint) -> Row:
    return {
        "messages": count,
        "round trips": one.stats["depth"],
        "by the client": one.built.round_trips,
        "calls": one.stats["calls"],
        "calls / 100 messages": 100 * one.stats["calls"] / count,
        "most at once": one.stats["max_in_flight"],
        **{f"{step} calls": calls for step, calls in one.built.by_step("calls").items()},
    }
