"""Every operator: shuffled input, or a call per key, gives the same rows."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from operators.associations.gmm_associations import GmmAssociations
from operators.base import Key, Operator
from operators.entity_index import EntityIndex
from operators.episodes.extractive_episodes import ExtractiveEpisodes
from operators.extract.rule_facts import RuleFacts
from operators.gap_sessions import GapSessions
from operators.memtree import MemTreeIndex
from operators.minilm_embed import MiniLmEmbed
from operators.near_duplicates import NearDuplicates
from operators.relations import TypedRelations
from operators.scenes import LeidenScenes
from operators.supersession import Supersession
from operators.two_turn_cells import TwoTurnCells
from schemas.tables import TABLES
from tests.operators.samples import HashModels, facts_of, log, shuffled, table

CHAIN: tuple[Operator, ...] = (
    GapSessions(),
    TwoTurnCells(max_chars=90),
    RuleFacts(),
    MiniLmEmbed(),
    ExtractiveEpisodes(),
    NearDuplicates(),
    Supersession(),
    EntityIndex(),
    GmmAssociations(),
    TypedRelations(),
    LeidenScenes(resolution=0.05),  # dense enough that scenes merge in these few facts
    MemTreeIndex(),
)
KEYS = {
    Key.CONVERSATION: ("tenant", "conversation_id"),
    Key.SESSION: ("tenant", "conversation_id", "session_id"),
    Key.TEXT: ("tenant", "conversation_id"),
}


@pytest.fixture(scope="module")
def inputs() -> dict[str, dict[str, pa.Table]]:
    """What each operator gets when the chain runs, by its name."""
    tables: dict[str, pa.Table] = {"messages": table("messages", log(1))}
    out: dict[str, dict[str, pa.Table]] = {}
    for operator in CHAIN:
        if operator.operator == "minilm_int8":  # facts with repeats, attributes and names
            tables["facts"] = facts_of(tables["messages"], 2)
        names = {name.partition(".")[0] for name in operator.reads()}
        out[operator.operator] = {name: tables[name] for name in names}
        made = operator.run(out[operator.operator], HashModels()).tables
        if "links" in made and "links" in tables:  # several steps add to them
            made["links"] = pa.concat_tables([tables["links"], made["links"]])
        tables |= made
    return out


def rows_of(tables: dict[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    return {name: data.to_pylist() for name, data in sorted(tables.items())}


@pytest.fixture(params=CHAIN, ids=lambda operator: operator.operator)
def operator(request: pytest.FixtureRequest) -> Operator:
    return request.param


def test_output_has_the_declared_tables_and_schemas(operator, inputs):
    given = inputs[operator.operator]
    made = operator.run(given, HashModels()).tables
    assert set(made) == {name.partition(".")[0] for name in operator.WRITES}
    for name, data in made.items():
        assert data.schema.equals(TABLES[name].schema), name
        data.validate(full=True)
        assert data.num_rows, name
        assert not any(
            data.column(field.name).null_count for field in data.schema if not field.nullable
        )
        keys = data.select(list(TABLES[name].key)).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys), "keys are unique"


def test_enriched_tables_keep_their_rows_and_other_columns(operator, inputs):
    given = inputs[operator.operator]
    made = operator.run(given, HashModels()).tables
    # Of `links` a step returns its own rows only.
    enriched = {name.partition(".")[0] for name in operator.WRITES} & set(given) - {"links"}
    for name in enriched:
        written = {w.partition(".")[2] for w in operator.WRITES if w.startswith(name + ".")}
        assert written, f"{name} is replaced as a whole"
        kept = [column for column in TABLES[name].schema.names if column not in written]
        order = [(key, "ascending") for key in TABLES[name].key]
        before = given[name].sort_by(order).select(kept)
        assert made[name].sort_by(order).select(kept).to_pylist() == before.to_pylist()


@pytest.mark.parametrize("seed", [1, 2])
def test_order_of_rows_does_not_matter(operator, inputs, seed):
    given = inputs[operator.operator]
    mixed = {name: shuffled(data, seed) for name, data in given.items()}
    expected = rows_of(operator.run(given, HashModels()).tables)
    assert rows_of(operator.run(mixed, HashModels()).tables) == expected


def test_a_call_per_key_gives_the_same_rows(operator, inputs):
    given = inputs[operator.operator]
    whole = operator.run(given, HashModels()).tables
    keys = KEYS[operator.KEY]
    distinct = {
        tuple(row.values())
        for data in given.values()
        if set(keys) <= set(data.schema.names)
        for row in data.select(list(keys)).to_pylist()
    }
    assert len(distinct) > 1
    parts: dict[str, list[pa.Table]] = {name: [] for name in whole}
    for key in sorted(distinct):
        mine = {name: _only(data, keys, key) for name, data in given.items()}
        for name, data in operator.run(mine, HashModels()).tables.items():
            parts[name].append(data)
    joined = {name: pa.concat_tables(data) for name, data in parts.items()}
    assert rows_of(_sorted(joined)) == rows_of(_sorted(whole))


def test_no_rows_in_no_rows_out(operator, inputs):
    empty = {name: data.slice(0, 0) for name, data in inputs[operator.operator].items()}
    made = operator.run(empty, HashModels()).tables
    assert all(data.num_rows == 0 for data in made.values())
    assert all(data.schema.equals(TABLES[name].schema) for name, data in made.items())


def test_conservation(operator, inputs):
    counters = operator.run(inputs[operator.operator], HashModels()).counters
    if "out" in counters:
        assert counters["in"] == counters["out"] + counters.get("filtered", 0)


def test_fingerprint_follows_parameters_only(operator):
    assert operator.fingerprint() == type(operator)(**operator.model_dump()).fingerprint()
    type(operator).model_json_schema()


def _sorted(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {
        name: data.sort_by([(key, "ascending") for key in TABLES[name].key])
        for name, data in tables.items()
    }


def _only(data: pa.Table, keys: tuple[str, ...], key: tuple[Any, ...]) -> pa.Table:
    mask = pa.array([True] * data.num_rows)
    for name, value in zip(keys, key, strict=True):
        mask = pc.and_(mask, pc.equal(data.column(name), value))
    return data.filter(mask)
