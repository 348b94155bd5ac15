"""From messages to doubts: extraction, deduplication, validity, personas, reflection."""

from typing import Any

import pyarrow as pa
import pytest

from operators.base import Operator
from operators.extract.rule_facts import RuleFacts
from operators.gap_sessions import GapSessions
from operators.minilm_embed import MiniLmEmbed
from operators.near_duplicates import NearDuplicates
from operators.personas.rule_personas import RulePersonas
from operators.reflection.persona_reflection import PersonaReflection
from operators.supersession import Supersession
from operators.two_turn_cells import TwoTurnCells
from schemas.tables import TABLES
from tests.operators.samples import HashModels, message, table

CHAIN: tuple[Operator, ...] = (
    GapSessions(), TwoTurnCells(), RuleFacts(), MiniLmEmbed(), NearDuplicates(), Supersession(),
    RulePersonas(), PersonaReflection(),
)  # fmt: skip
DAY = 24 * 60


def remembered(*texts: str) -> dict[str, pa.Table]:
    """What is remembered of Nora who says one text a day."""
    rows = [message(f"m{n}", n * DAY, "Nora", text) for n, text in enumerate(texts)]
    tables: dict[str, Any] = {"messages": table("messages", rows), "links": table("links", [])}
    tables |= {name: TABLES[name].empty() for name in ("scenes", "scene_members")}
    for operator in CHAIN:
        given = {name.partition(".")[0] for name in operator.reads()}
        made = dict(operator.run({n: tables[n] for n in given}, HashModels()).tables)
        links = pa.concat_tables([tables["links"], made.pop("links", TABLES["links"].empty())])
        tables |= made | {"links": links}
    return tables


def doubts(tables: dict[str, pa.Table]) -> dict[str, str]:
    rows = tables["facts"].to_pylist()
    return {row["message_id"]: row["doubt"] for row in rows if row["doubt"]}


HOME, AWAY = "I live in Lisbon.", "I live in Porto."


def test_a_slip_is_doubted_though_repetitions_are_duplicates():
    made = remembered(HOME, HOME, HOME, AWAY, HOME, "The weather is fine.")
    reason = "Nora's home_city is Lisbon in 4 sessions; this says Porto once"
    assert doubts(made) == {"m3": reason}
    statuses = {row["value"]: row["status"] for row in made["personas"].to_pylist()}
    assert statuses == {"Lisbon": "current", "Porto": "conflict"}


@pytest.mark.parametrize(
    "move",
    [
        ["I moved from Lisbon to Porto.", "The weather is fine."],
        [AWAY, "I live in Porto, by the river.", "The weather is fine."],
        [AWAY, "The trams of Porto are slow."],
    ],
)
def test_a_move_is_not_doubted(move: list[str]):
    made = remembered(HOME, HOME, HOME, *move)
    assert doubts(made) == {}
    statuses = {row["value"]: row["status"] for row in made["personas"].to_pylist()}
    assert statuses == {"Lisbon": "former", "Porto": "current"}


def test_a_taste_denied_once_is_doubted_and_one_given_up_is_not():
    love, hate = "I love cilantro.", "I hate cilantro."
    later = "The weather is fine."
    assert list(doubts(remembered(love, love, love, hate, later))) == ["m3"]
    assert not doubts(remembered(love, love, love, hate, hate, later))
    assert not doubts(remembered(love, love, love, "I've stopped eating cilantro.", later))
