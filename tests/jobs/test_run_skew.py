"""One conversation with half of all messages: all workers build it, and it is what one would."""

from pathlib import Path
from typing import Any

import pytest

from tests.jobs.builds import (
    Lines,
    build_here,
    computed,
    digest_at,
    pipeline_copy,
    sample_lines,
    shuffled,
    write_log,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

SMALL = sample_lines(per_log=60)
LONG: Lines = [
    line | {"conversation_id": "long", "message_id": f"{line['conversation_id']}-{number}"}
    for number, line in enumerate(sample_lines(per_log=60))
]
LOG = [*SMALL, *LONG]


def pipeline(path: Path, split_messages: int) -> Path:
    return pipeline_copy(
        path,
        (r"split_messages: \d+", f"split_messages: {split_messages}"),
        (r"slice_chars: \d+", "slice_chars: 4000"),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report and digest of a build that cuts nothing."""
    folder = tmp_path_factory.mktemp("whole")
    log = write_log(folder / "log.jsonl", LOG)
    report = build_here(
        folder / "w", log, workers=2, pipeline=pipeline(folder / "p.yaml", 1_000_000)
    )
    assert "skew" not in report["counters"]
    return report, digest_at(folder / "w")


def test_both_workers_build_the_long_conversation(
    tmp_path: Path, whole: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    using = pipeline(tmp_path / "p.yaml", 100)
    log = write_log(tmp_path / "log.jsonl", shuffled(LOG))

    report = build_here(tmp_path / "w", log, workers=2, pipeline=using)

    skew = report["counters"]["skew"]
    assert skew["slices"] == 1
    assert skew["parts"] >= 4
    assert skew["messages"] == len(LONG)
    assert skew["workers"] == 2
    for step in ("cells", "extract", "embed", "episodes"):
        for name in ("in", "computed", "kept"):
            mine, theirs = (r["counters"][step].get(name) for r in (report, whole[0]))
            assert mine == theirs, (step, name)
    assert digest_at(tmp_path / "w") == whole[1]
    again = build_here(tmp_path / "w", write_log(log, LOG), workers=2, pipeline=using)
    assert computed(again) == set()


def test_an_append_of_many_sessions_and_another_plan_are_shared_as_well(
    tmp_path: Path, whole: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    using = pipeline(tmp_path / "p.yaml", 50)
    other = pipeline_copy(
        tmp_path / "other.yaml",
        (r"split_messages: \d+", "split_messages: 50"),
        (r"slice_chars: \d+", "slice_chars: 4000"),
        (r"min_words: 1", "min_words: 4"),
    )
    begun = write_log(tmp_path / "begun.jsonl", [*SMALL, *LONG[::3]])
    rest = write_log(tmp_path / "rest.jsonl", LONG)
    build_here(tmp_path / "w", begun, workers=2, pipeline=using)
    under_other = build_here(tmp_path / "w", rest, workers=2, pipeline=other)
    assert under_other["counters"]["skew"]["messages"] == len(LONG)
    back = build_here(tmp_path / "w", rest, workers=2, pipeline=using)
    assert back["counters"]["skew"]["workers"] == 2
    assert digest_at(tmp_path / "w") == whole[1]
