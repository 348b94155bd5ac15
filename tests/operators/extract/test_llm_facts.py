"""The operator: mapping, checks, stand-ins, one round trip, stable ids and questions."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import StepResult, Tables
from operators.extract.attribute_names import attribute_name
from operators.extract.llm_facts import EXTRACT, LlmFacts
from operators.extract.rule_facts import RuleFacts
from operators.gap_sessions import GapSessions
from operators.llm.call import Answer, Request
from operators.two_turn_cells import TwoTurnCells
from schemas.tables import TABLES
from tests.effort import examples
from tests.operators.extract.test_rule_facts import messages
from tests.operators.llm.fakes import LLM, PlausibleModels, ScriptedModels, plausible
from tests.operators.samples import log, shuffled, table

SAID = (
    ("Caroline", "I went to a support group yesterday with my friend Nora. It was so powerful."),
    ("Melanie", "Wow! I painted a lake sunrise last year, and my son Tim framed it."),
)


def tables(data: pa.Table) -> dict[str, pa.Table]:
    made = TwoTurnCells().run({"messages": data}, PlausibleModels()).tables
    return {"messages": data, "cells": made["cells"]}


def run(given: Tables, models: ScriptedModels, **parameters: Any) -> StepResult:
    result = LlmFacts(llm=LLM, **parameters).run(given, models)
    counters, facts = result.counters, result.tables["facts"]
    assert counters["in"] == counters["out"] + counters["filtered"]
    assert counters["out"] == facts.num_rows
    assert facts.schema == TABLES["facts"].schema
    facts.validate(full=True)
    return result


def answered(*facts: dict[str, Any], said: Any = SAID, **parameters: Any) -> StepResult:
    return run(tables(messages(*said)), scripted(*facts), **parameters)


def scripted(*facts: dict[str, Any]) -> ScriptedModels:
    full = [{"kind": "factual"} | fact for fact in facts]
    return ScriptedModels(lambda _: json.dumps({"facts": full}))


def rows(result: StepResult) -> list[dict[str, Any]]:
    return result.tables["facts"].to_pylist()


def texts(result: StepResult) -> list[str]:
    return [row["text"] for row in rows(result)]


def rule_rows(said: Any = SAID) -> list[dict[str, Any]]:
    made = RuleFacts().run(tables(messages(*said)), PlausibleModels())
    return made.tables["facts"].to_pylist()


GROUP = {
    "line": 1,
    "text": "Caroline went to a support group with Nora on 7 May 2023.",
    "kind": "experiential",
    "quote": "went to a SUPPORT group  yesterday",
    "time_text": "yesterday",
    "entities": ["Nora", "Somebody Else", "group"],
    "topics": ["Support Group"],
}


def test_a_fact_becomes_a_row():
    (row,) = rows(answered(GROUP))
    rule = rule_rows()[0]
    same = ("fact_id", "message_id", "cell_id", "session_id", "seq", "speaker", "event_time")
    assert {name: row[name] for name in same} == {name: rule[name] for name in same}
    assert row["text"] == GROUP["text"]
    assert SAID[0][1][row["span_start"] : row["span_end"]] == "went to a support group yesterday"
    assert row["occurred_start"] == datetime(2023, 5, 7, tzinfo=UTC)
    assert row["occurred_end"] == datetime(2023, 5, 8, tzinfo=UTC)
    assert row["time_text"] == "yesterday"
    assert row["entities"] == ["Caroline", "Nora"]
    assert row["topics"] == ["support group"]
    assert (row["kind"], row["extractor"], row["ordinal"]) == ("experiential", "llm_facts", 0)
    assert row["source_message_ids"] == [row["message_id"]]
    assert row["unsupported"] == []


def test_attributes_are_named_as_the_rules_name_them():
    fact = {"line": 2, "text": "Melanie's son is Tim.", "attribute": "Son", "value": "Tim"}
    (row,) = rows(answered(fact))
    assert (row["subject"], row["attribute"], row["value"]) == ("Melanie", "child", "Tim")
    assert attribute_name("livesIn") == "home_city"
    assert attribute_name("Favorite ice-cream") == "favourite_ice_cream"
    assert attribute_name("hobbies") == "hobby"
    assert attribute_name("Shoe size") == "shoe_size"


def test_half_a_triple_is_none():
    (row,) = rows(answered({"line": 2, "text": "Melanie painted a lake.", "attribute": "hobby"}))
    assert (row["subject"], row["attribute"], row["value"]) == (None, None, None)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2022-01-01", "2022-12-31", (datetime(2022, 1, 1), datetime(2023, 1, 1))),
        ("2022-12-31", "2022-01-01", (datetime(2022, 1, 1), datetime(2023, 1, 1))),  # reversed
        ("2022", "", (datetime(2022, 1, 1), datetime(2023, 1, 1))),
        ("2022-02-31", "soon", (datetime(2022, 1, 1), datetime(2023, 1, 1))),  # by the rules
        ("1950-01-01", "", (datetime(2022, 1, 1), datetime(2023, 1, 1))),  # never said
    ],
)
def test_days_of_the_model_only_where_the_source_bears_them_out(start, end, days):
    fact = {"line": 2, "text": "Melanie painted a lake.", "time_text": "last year"}
    (row,) = rows(answered(fact | {"start": start, "end": end}))
    assert (row["occurred_start"], row["occurred_end"]) == tuple(
        day.replace(tzinfo=UTC) for day in days
    )


def test_relative_dates_left_in_the_text_are_made_absolute():
    (row,) = rows(answered({"line": 1, "text": "Caroline went to a support group yesterday."}))
    assert row["text"] == "Caroline went to a support group yesterday (7 May 2023)."


def test_lines_that_hold_a_name_become_sources():
    fact = {"line": 1, "text": "Caroline heard that Tim framed the lake sunrise."}
    (row,) = rows(answered(fact))
    assert row["source_message_ids"] == ["s1/m0", "s1/m1"]
    (row,) = rows(answered({"line": 2, "text": "Melanie painted.", "also": [1, 2, 88]}))
    assert row["source_message_ids"] == ["s1/m1", "s1/m0"]


INVENTED = {"line": 2, "text": "Melanie painted a lake with Zoe for 300 dollars."}


def test_ungrounded_facts_are_dropped_or_flagged():
    dropped = answered(GROUP, INVENTED)
    assert texts(dropped) == [GROUP["text"]]
    assert (dropped.counters["found"], dropped.counters["ungrounded"]) == (2, 1)
    flagged = answered(GROUP, INVENTED, ungrounded="flag")
    assert [row["unsupported"] for row in rows(flagged)] == [[], ["300", "Zoe"]]
    assert flagged.counters["ungrounded"] == 1


def test_the_value_of_an_attribute_must_be_grounded_too():
    fact = {"line": 2, "text": "Melanie has a son.", "attribute": "child", "value": "Otto"}
    assert answered(GROUP, fact).counters["ungrounded"] == 1


def test_rules_stand_in_where_no_fact_is_grounded():
    result = answered(INVENTED)
    assert rows(result) == rule_rows()
    assert result.counters["stand_ins"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        '{"facts": [{"line": 3, "text": "Too far.", "kind": "factual"}]}',
        '{"facts": [{"line": 1, "text": " . ", "kind": "factual"}]}',
        '{"facts": [{"line": 1, "text": "' + "x" * 5000 + '", "kind": "factual"}]}',
        '{"facts": [{"line": 1, "text": "\\ud800", "kind": "factual"}]}',
    ],
)
def test_unusable_answers_are_asked_for_once_more_then_rules_stand_in(answer):
    models = ScriptedModels(lambda _: answer)
    result = run(tables(messages(*SAID)), models)
    assert rows(result) == rule_rows()
    assert (models.rounds, models.calls, len(models.set_aside_reasons)) == (2, 2, 1)


def test_a_better_second_answer_counts():
    good = json.dumps({"facts": [GROUP]})
    models = ScriptedModels(lambda request: good if len(request.turns) > 2 else "{}")
    assert texts(run(tables(messages(*SAID)), models)) == [GROUP["text"]]


def test_no_answer_and_predictions_leave_the_rules():
    for status in ("unanswered", "predicted"):
        models = ScriptedModels(lambda _, status=status: Answer("call", status, ""))
        assert rows(run(tables(messages(*SAID)), models)) == rule_rows()
        assert models.rounds == 1


def test_nothing_to_keep_is_an_answer():
    result = answered()
    assert rows(result) == []
    assert (result.counters["empty_cells"], result.counters["stand_ins"]) == (1, 0)


def test_repetition_is_kept_once():
    result = answered(GROUP, GROUP | {"text": str(GROUP["text"]).upper()})
    assert (len(rows(result)), result.counters["repeated"]) == (1, 1)


def test_filler_is_not_asked_about():
    models = scripted()
    result = run(tables(messages(("Ann", "Hi Ben!"), ("Ben", "Hello Ann, how are you?"))), models)
    assert (models.calls, models.rounds, result.counters["filler_cells"]) == (0, 0, 1)


LONG = " ".join(f"On day {n} Caroline wrote page {n} of the report." for n in range(40))


def test_rules_stand_in_for_the_part_that_failed():
    def script(request: Request) -> str:
        if "page 0 " in request.turns[1][1]:
            return json.dumps({"facts": [GROUP | {"text": "Caroline wrote a report."}]})
        return "broken"

    result = run(tables(messages(("Caroline", LONG))), ScriptedModels(script), max_chars=900)
    found = rows(result)
    assert [row["ordinal"] for row in found] == list(range(len(found)))
    assert [row["extractor"] for row in found] == ["llm_facts"] + ["rule_facts"] * (len(found) - 1)
    assert "page 39" in found[-1]["text"]
    assert result.counters["stand_ins"] == result.counters["questions"] - 1
    assert len({row["fact_id"] for row in found}) == len(found)


def test_ids_do_not_depend_on_wording():
    other = GROUP | {"text": "A support group was visited by Caroline.", "quote": ""}
    assert [r["fact_id"] for r in rows(answered(GROUP))] == [
        r["fact_id"] for r in rows(answered(other))
    ]


def test_plausible_answers_fit_the_form_and_are_used():
    models = PlausibleModels()
    result = run(many_sessions(), models)
    assert models.rounds == 1, "one round trip for all sessions"
    assert not models.set_aside_reasons
    assert {row["extractor"] for row in rows(result)} == {"llm_facts"}
    for request in models.requests:
        EXTRACT.output.model_validate_json(plausible(request))


def many_sessions() -> dict[str, pa.Table]:
    made = GapSessions().run({"messages": table("messages", log(1))}, PlausibleModels()).tables
    return tables(made["messages"])


@pytest.mark.parametrize("seed", [1, 2])
def test_order_of_rows_does_not_matter(seed):
    given_tables = many_sessions()
    mixed = {name: shuffled(data, seed) for name, data in given_tables.items()}
    one, other = PlausibleModels(), PlausibleModels()
    assert rows(run(given_tables, one)) == rows(run(mixed, other))
    assert one.users == other.users


def test_a_call_per_session_gives_the_same_rows():
    given_tables = many_sessions()
    whole = {row["fact_id"]: row for row in rows(run(given_tables, PlausibleModels()))}
    apart: dict[str, Any] = {}
    for session in sorted(set(map(str, given_tables["cells"]["session_id"].to_pylist()))):
        mine = {
            name: data.filter(pc.equal(data["session_id"], pa.scalar(session)))
            for name, data in given_tables.items()
        }
        apart |= {row["fact_id"]: row for row in rows(run(mine, PlausibleModels()))}
    assert apart == whole


def test_a_later_session_changes_no_question():
    before, after = PlausibleModels(), PlausibleModels()
    first = messages(*SAID)
    run(tables(first), before)
    later = messages(("Nora", "I have come back from Lima."), session="s2")
    run(tables(pa.concat_tables([first, later])), after)
    assert set(before.users) < set(after.users)


def test_a_message_in_no_cell_is_an_error():
    data = messages(*SAID)
    with pytest.raises(ValueError, match="in no cell"):
        run({"messages": data, "cells": TABLES["cells"].schema.empty_table()}, PlausibleModels())


def test_fingerprint_holds_prompt_and_model_but_not_the_address():
    one = LlmFacts(llm=LLM)
    assert one.fingerprint_parameters()["prompts"] == [EXTRACT.identity]
    moved = LlmFacts(llm=LLM.model_copy(update={"url": "http://127.0.0.1:10/v1"}))
    assert one.fingerprint() == moved.fingerprint()
    assert one.fingerprint() != LlmFacts(llm=LLM, ungrounded="flag").fingerprint()
    assert set(one.writes()) == {"facts", "artifacts"}


ANY_TEXT = st.text(max_size=60)
ANY_FACT = st.fixed_dictionaries(
    {
        "line": st.integers(1, 2),
        "text": ANY_TEXT,
        "kind": st.sampled_from(["factual", "experiential", "subjective"]),
    },
    optional={
        **dict.fromkeys(("quote", "time_text", "subject", "value"), ANY_TEXT),
        **{name: st.text("0123456789-T ", max_size=10) for name in ("start", "end")},
        "attribute": st.text(max_size=40),
        "entities": st.lists(ANY_TEXT, max_size=3),
        "topics": st.lists(st.text(max_size=40), max_size=3),
        "also": st.lists(st.integers(1, 99), max_size=4),
    },
)


@examples(60)
@given(facts=st.lists(ANY_FACT, max_size=4), flag=st.booleans(), seed=st.integers(0, 9))
def test_no_answer_breaks_the_run(facts, flag, seed):
    random.Random(seed).shuffle(facts)
    script: Callable[[Request], str] = lambda _: json.dumps({"facts": facts})  # noqa: E731
    run(tables(messages(*SAID)), ScriptedModels(script), ungrounded="flag" if flag else "drop")
