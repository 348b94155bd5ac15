"""Scenes told by a model: one round trip, and nothing but words depends on it."""

import json
from collections import Counter

import pytest

from operators.llm.call import Answer
from operators.scenes import LeidenScenes
from operators.scenes.llm_titles import LlmTitles
from operators.scenes.portrait import Scene, Statement, Untold
from tests.operators.llm.fakes import LLM, PlausibleModels, ScriptedModels
from tests.operators.samples import HashModels, at, shuffled, table
from tests.operators.scenes.talks import associated, link, said

ROWS = [
    said(10 * place + n, topic, session, conversation_id=conversation)
    for conversation in ("c", "d")
    for session in range(3)
    for place, topic in enumerate(("boat", "oven"))
    for n in range(4)
]
TOLD = ("title", "summary", "keywords", "made_by")
GOOD = {"title": "Ann's boat", "summary": "Ann varnished it.", "keywords": ["boat"]}


def tables(rows=ROWS, links=None):
    links = associated(rows) if links is None else links
    return {"facts": table("facts", rows), "links": table("links", links)}


def scenes(models, given=None, **parameters):
    titles = {"kind": "llm", "llm": LLM.model_dump(), **parameters}
    made = LeidenScenes.model_validate({"titles": titles}).run(given or tables(), models).tables
    return {name: data.to_pylist() for name, data in made.items()}


def without_words(made):
    bare = [{k: v for k, v in row.items() if k not in TOLD} for row in made["scenes"]]
    return {**made, "scenes": bare}


def rule_scenes(given=None):
    made = LeidenScenes().run(given or tables(), HashModels()).tables
    return {name: data.to_pylist() for name, data in made.items()}


def untold(*lines: tuple[str, float, float], people=("Ann",)):
    statements = tuple(
        Statement(text, frozenset("abc"), True, weight, 0.5, int(at(day * 1440).timestamp() * 1e6))
        for text, weight, day in lines
    )
    scene = Scene(statements, dict.fromkeys(people, 1))
    return Untold("default", "c", (scene,), Counter(), len(statements))


def question(one: Untold, **parameters) -> str:
    models = PlausibleModels()
    LlmTitles(llm=LLM, **parameters).tell([one], models)
    (text,) = models.users
    return text


def test_the_scenes_of_all_conversations_are_one_round_trip():
    models = PlausibleModels()
    made = scenes(models)
    assert (models.rounds, models.calls) == (1, 4)
    assert {row["conversation_id"] for row in made["scenes"]} == {"c", "d"}
    assert all(row["made_by"] == "llm" for row in made["scenes"])
    assert all(row["title"] and row["summary"] and row["keywords"] for row in made["scenes"])
    assert models.set_aside_reasons == []


def test_words_of_the_model_change_no_id_member_or_salience():
    told = scenes(ScriptedModels(lambda request: json.dumps(GOOD)))
    assert {row["title"] for row in told["scenes"]} == {"Ann's boat"}
    assert without_words(told) == without_words(scenes(PlausibleModels()))
    assert without_words(told) == without_words(rule_scenes())


def test_a_question_shows_central_statements_in_event_order_under_their_days():
    one = untold(
        ("Ann bought\na boat.", 0.9, 0),
        ("Ann likes rain.", 0.1, 0.1),
        ("Ann [image: a photo of a mast] varnished the mast.", 1.0, 0.2),
        ("Ann sold the boat to Zoe.", 0.9, 3),
        people=("Zoe", "Ann", "Tom"),
    )
    assert question(one, max_statements=3) == (
        "People: Ann, Zoe\n"
        "2024-01-01\n[1] Ann bought a boat.\n[2] Ann varnished the mast.\n"
        "2024-01-04\n[3] Ann sold the boat to Zoe."
    )


def test_long_statements_are_cut_and_equals_go_by_order():
    one = untold(*((f"Ann {word} " + "very " * 40, 1.0, 0) for word in ("rows", "sails", "dives")))
    text = question(one, max_statements=3, line_chars=40)
    assert max(map(len, text.splitlines())) <= 44
    four = untold(*((f"Ann went to pier {n}.", 0.5, 0) for n in range(1, 5)))
    assert "pier 3" in (shown := question(four, max_statements=3))
    assert "pier 4" not in shown


def test_a_late_member_at_the_edge_changes_no_question():
    rows = [row for row in ROWS if row["conversation_id"] == "c"]
    before, after = PlausibleModels(), PlausibleModels()
    links = associated(rows)
    made = scenes(before, tables(rows, links), max_statements=6)
    late = said(1, "boat", 9)
    weights = {row["memory_id"]: row["weight"] for row in made["scene_members"]}
    boats = [row for row in rows if row["message_id"].startswith("boat")]
    core = sorted(boats, key=lambda row: -weights[row["fact_id"]])
    more = scenes(
        after, tables([*rows, late], [*links, link(late, core[0], score=0.5)]), max_statements=6
    )
    assert late["fact_id"] in {row["memory_id"] for row in more["scene_members"]}
    assert after.users == before.users


def test_an_answer_of_the_wrong_form_is_asked_for_again_with_the_objection():
    def script(request):
        return json.dumps(GOOD if len(request.turns) > 2 else GOOD | {"title": " "})

    models = ScriptedModels(script)
    made = scenes(models)
    assert (models.rounds, models.calls) == (2, 8)
    assert "`title` is empty" in models.users[-1]
    assert {row["made_by"] for row in made["scenes"]} == {"llm"}
    assert models.set_aside_reasons == []


@pytest.mark.parametrize("answer", ["no JSON", json.dumps(GOOD | {"keywords": ["k"] * 9})])
def test_the_extractive_portrait_stands_in(answer):
    models = ScriptedModels(lambda request: answer)
    made = scenes(models)
    assert models.rounds == 2
    assert len(models.set_aside_reasons) == len(made["scenes"]) == 4
    assert made == rule_scenes()
    assert {row["made_by"] for row in made["scenes"]} == {"extractive"}


def test_one_bad_answer_spoils_no_other():
    def script(request):
        return "?" if "oven" in request.turns[1][1] else json.dumps(GOOD)

    made = scenes(ScriptedModels(script))
    rules = {row["scene_id"]: row for row in rule_scenes()["scenes"]}
    for row in made["scenes"]:
        by_rules = "oven" in rules[row["scene_id"]]["summary"]
        assert row["made_by"] == ("extractive" if by_rules else "llm")
        assert (row == rules[row["scene_id"]]) is by_rules


def test_without_an_answer_nobody_is_asked_twice():
    models = ScriptedModels(lambda request: Answer("call", "unanswered", "timed out"))
    assert scenes(models) == rule_scenes()
    assert models.rounds == 1


def test_spaces_and_repeated_keywords_go():
    told = {"title": " Ann's\n boat ", "summary": "Ann  sails.", "keywords": ["Boat", " boat", " "]}
    made = scenes(ScriptedModels(lambda request: json.dumps(told)))
    row = made["scenes"][0]
    assert [row[name] for name in TOLD] == ["Ann's boat", "Ann sails.", ["Boat"], "llm"]


def test_order_and_company_change_nothing():
    models = PlausibleModels()
    whole = scenes(models)
    mixed = PlausibleModels()
    assert whole == scenes(mixed, {name: shuffled(data, 5) for name, data in tables().items()})
    assert mixed.users == models.users
    parts = [
        scenes(PlausibleModels(), tables([row for row in ROWS if row["conversation_id"] == name]))
        for name in ("c", "d")
    ]
    for name, rows in whole.items():
        assert sorted((row for part in parts for row in part[name]), key=str) == sorted(
            rows, key=str
        )


def test_no_scenes_no_call():
    models = PlausibleModels()
    assert scenes(models, tables([])) == {"scenes": [], "scene_members": [], "links": []}
    assert models.rounds == 0


def test_the_model_and_the_prompt_are_in_the_fingerprint_but_not_where_it_runs():
    def made(**llm):
        titles = {"kind": "llm", "llm": LLM.model_dump() | llm}
        return LeidenScenes.model_validate({"titles": titles})

    assert made().fingerprint() == made(url="http://127.0.0.1:8/v1").fingerprint()
    assert made().fingerprint() != made(model="another").fingerprint()
    assert made().fingerprint() != LeidenScenes().fingerprint()
    assert "tell_scene@1:" in str(made().fingerprint_parameters())
    assert made().writes() == (*LeidenScenes.WRITES, "artifacts")
    with pytest.raises(ValueError, match="llm"):
        LeidenScenes.model_validate({"titles": {"kind": "llm"}})
