"""Erasure reaches every level: no episode, scene, persona or link still tells of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.digest import digest
from jobs.forget import Target, forget
from jobs.rebuild import rebuilder
from pipelines.slice_build import build_slice
from schemas.message import Message
from tests.jobs.stream.here import Recorded
from tests.jobs.test_run_forget import leaks
from tests.pipelines.logs import parsed
from tests.pipelines.resolved import assert_resolved
from tests.pipelines.test_function_of_the_log import models, shipped
from tests.pipelines.themed_logs import story, told
from transforms.warehouse.commit import commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Every test builds two warehouses.

# A word that no other message has, in a theme of its own that comes back in every session.
CANARY = "Velostrumpf"
SECRETS = [
    f"I love {CANARY} more than any other game.",
    f"I play {CANARY} with Marta every Friday.",
    f"My favourite game is {CANARY}.",
    f"Marta and I played {CANARY} in Sintra after climbing.",
    f"We planted tomatoes and played {CANARY} in the garden.",
    f"I play {CANARY} with Ana in Ghent every Friday.",
]
LEVELS = ("episodes", "scenes", "personas", "memtree_nodes", "entities", "facts", "cells")


def secrets() -> list[Message]:
    return [
        told("walks", 100 + number, 4 * number, text).model_copy(
            update={"message_id": f"secret-{number}"}
        )
        for number, text in enumerate(SECRETS)
    ]


def built(warehouse: Warehouse, log: Sequence[Message]) -> None:
    result = build_slice(parsed(list(log)), [], Recorded(warehouse), shipped().steps, models())
    commit(warehouse, result.changes)


def naming(warehouse: Warehouse) -> set[str]:
    """Tables that have the word in a row."""
    return {
        name
        for name in content(warehouse)
        if CANARY.lower() in str(read_table(warehouse, name).to_pylist()).lower()
    }


@pytest.fixture
def whole(folder: Path) -> Path:
    with open_warehouse(folder, threads=1) as warehouse:
        built(warehouse, [*story(), *secrets()])
        assert naming(warehouse) >= set(LEVELS), "the word is on every level, or nothing is tested"
    return folder


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (Target("person", CANARY), 0),
        (Target("message", "secret-0"), 5),
    ],
    ids=["all that names it", "the first message of its scene"],
)
def test_forgotten_is_never_ingested_on_any_level(
    whole: Path, tmp_path: Path, target: Target, kept: int
) -> None:
    left = secrets()[len(SECRETS) - kept :]
    with open_warehouse(tmp_path / "never", threads=1) as never:
        built(never, [*story(), *left])
        expected = digest(never)

    with open_warehouse(whole, threads=1) as warehouse:
        report = forget(warehouse, target, rebuilder(shipped()))
        assert report.messages == len(SECRETS) - kept
        assert digest(warehouse) == expected
        assert_resolved(
            {name: read_table(warehouse, name).to_pylist() for name in content(warehouse)}
        )
        assert kept or naming(warehouse) == set()

    erased = CANARY if not kept else "more than any other game"
    assert leaks(whole, erased) == []


def test_what_remains_has_its_levels_still(whole: Path) -> None:
    with open_warehouse(whole, threads=1) as warehouse:
        forget(warehouse, Target("person", CANARY), rebuilder(shipped()))
        assert [name for name in LEVELS if not read_table(warehouse, name).num_rows] == []
        assert forget(warehouse, Target("person", CANARY), rebuilder(shipped())).messages == 0


def test_a_forgotten_conversation_leaves_no_row_on_any_level(whole: Path) -> None:
    with open_warehouse(whole, threads=1) as warehouse:
        forget(warehouse, Target("conversation", "walks"), rebuilder(shipped()))
        assert [n for n in content(warehouse) if read_table(warehouse, n).num_rows] == []
    assert leaks(whole, CANARY) == []


def content(warehouse: Warehouse) -> list[str]:
    return [name for name in digest(warehouse)["tables"] if name != "dead_letters"]
