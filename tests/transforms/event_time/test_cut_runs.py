"""Runs: every row once, one conversation each, no silence longer than the gap inside."""

import itertools
from datetime import timedelta

from hypothesis import given

from tests.pipelines.logs import messages, parsed
from transforms.event_time.cut_runs import cut_runs

GAP = timedelta(hours=6)


@given(messages())
def test_runs_partition_the_messages(log) -> None:
    table = parsed(log)
    runs = list(cut_runs(table, GAP))

    def ids(rows):
        return list(
            zip(
                rows["conversation_id"].to_pylist(),
                rows["message_id"].to_pylist(),
                rows["content_hash"].to_pylist(),
                strict=True,
            )
        )

    assert sorted(i for run in runs for i in ids(run.rows)) == sorted(ids(table))
    for run in runs:
        times = sorted(run.rows["timestamp"].to_pylist())
        assert (run.start, run.end) == (times[0], times[-1])
        assert all(b - a <= GAP for a, b in itertools.pairwise(times))
        assert set(run.rows["conversation_id"].to_pylist()) == {run.conversation[1]}


@given(messages())
def test_runs_of_a_conversation_are_apart(log) -> None:
    by_conversation = {}
    for run in cut_runs(parsed(log), GAP):
        by_conversation.setdefault(run.conversation, []).append((run.start, run.end))
    for spans in by_conversation.values():
        spans.sort()
        assert all(b[0] - a[1] > GAP for a, b in itertools.pairwise(spans))
