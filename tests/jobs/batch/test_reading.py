"""Partitioning keeps every row, and a conversation in one bucket."""

from collections import defaultdict

from hypothesis import given

from jobs.batch.reading import bucket_of, split_by_bucket
from tests.pipelines.logs import messages, parsed


@given(messages(size=30))
def test_every_row_is_in_the_bucket_of_its_conversation(log):
    table = parsed(log)
    rows = defaultdict(list)
    for bucket, part in split_by_bucket(table):
        for row in part.to_pylist():
            assert bucket == bucket_of(row["tenant"], row["conversation_id"])
            rows[row["conversation_id"]].append(row)
    got = sorted(map(repr, (row for part in rows.values() for row in part)))
    assert got == sorted(map(repr, table.to_pylist()))
