import pyarrow as pa
import pyarrow.compute as pc
import pytest

from operators.llm.call import Answer
from operators.verdicts.llm_verdicts import LlmVerdicts
from schemas.tables import TABLES
from tests.operators.llm.fakes import LLM, PlausibleModels, ScriptedModels
from tests.operators.samples import embeddings, facts_of, log, shuffled, table
from tests.operators.verdicts.asked import all_are, answer, numbers, run, spot, told

STORIES = [told(f"m{n:02}", n // 6, f"Ann told story number {n} again.") for n in range(24)]


def inputs() -> dict[str, pa.Table]:
    messages = table("messages", [row | {"session_id": "s"} for row in log(1)])
    facts = facts_of(messages, 2)
    return {"facts": facts, "embeddings": embeddings(facts)}


def only(tables: dict[str, pa.Table], conversation: str) -> dict[str, pa.Table]:
    return {
        name: data.filter(pc.equal(data["conversation_id"], conversation))
        for name, data in tables.items()
    }


def test_the_model_says_what_each_pair_is():
    rows = STORIES[:3]
    result, models = run(rows, script=lambda _: answer({1: "refines", 3: "same", 2: "causes"}))
    made = result.tables["verdicts"]
    assert made.schema.equals(TABLES["verdicts"].schema)
    made.validate(full=True)
    ids = [row["fact_id"] for row in rows]
    found = {(r["later_id"], r["earlier_id"]): r for r in made.to_pylist()}
    assert {ends: row["verdict"] for ends, row in found.items()} == {
        (ids[1], ids[0]): "refines",
        (ids[2], ids[0]): "causes",
        (ids[2], ids[1]): "same",
    }
    assert {row["score"] for row in found.values()} == {1.0}
    assert models.rounds == models.calls == 1
    assert result.counters["in"] == result.counters["out"] == 3


def test_all_conversations_are_one_round_trip_in_groups_by_session():
    rows = [
        row | {"conversation_id": name, "fact_id": name + row["fact_id"]}
        for row in STORIES
        for name in "cde"
    ]
    result, models = run(rows)
    assert models.rounds == 1
    asked = [(r.conversation_id, r.session_id, len(numbers(r))) for r in models.requests]
    # 1 + 2 + 2 ... pairs in the first session of 6 facts, 12 in each of the others.
    of_one = [("s000", 8), ("s000", 1), *[(f"s00{n}", k) for n in (1, 2, 3) for k in (8, 4)]]
    assert asked == [(name, *group) for name in "cde" for group in of_one]
    assert result.counters["questions"] == len(asked)
    assert result.counters["out"] == result.counters["in"] == 3 * 45


def test_pairs_per_call():
    _, models = run(STORIES, pairs_per_call=16)
    assert [len(numbers(request)) for request in models.requests] == [9, 12, 12, 12]


def test_a_session_that_follows_changes_no_question():
    _, whole = run(STORIES)
    for size in (6, 12, 18):
        _, first = run(STORIES[:size])
        assert whole.requests[: first.calls] == first.requests
    _, open_session = run(STORIES[:10])
    full = [request for request in open_session.requests if len(numbers(request)) == 8]
    assert set(full) <= set(whole.requests), "only the last group of an open session changes"


def test_a_late_message_changes_only_the_questions_that_follow_it():
    late = told("m08x", 1.3, "Ann told one more story at last.")
    rows = [*STORIES[:8], late, *(row | {"session_id": "t"} for row in STORIES[8:])]
    _, before = run([row for row in rows if row is not late])
    _, after = run(rows)
    first = [request for request in before.requests if request.session_id == "s000"]
    assert first == [request for request in after.requests if request.session_id == "s000"]
    assert before.requests != after.requests


def test_a_call_that_fails_gives_no_verdict_and_is_set_aside():
    def script(request):
        return "no JSON" if request.session_id == "s001" else all_are("same")(request)

    result, models = run(STORIES, script=script)
    assert models.rounds == 2
    assert [r.session_id for r in models.set_aside_requests] == ["s001", "s001"]
    session = {row["fact_id"]: row["session_id"] for row in STORIES}
    judged = {session[r["later_id"]] for r in result.tables["verdicts"].to_pylist()}
    assert judged == {"s000", "s002", "s003"}
    assert result.counters["filtered"] == 12
    assert result.counters["in"] == result.counters["out"] + 12


def test_an_incomplete_answer_is_asked_for_once_more():
    def script(request):
        wanted = numbers(request)
        return answer(dict.fromkeys(wanted if len(request.turns) > 2 else wanted[1:], "same"))

    result, models = run(STORIES[:6], script=script, pairs_per_call=16)
    assert models.rounds == 2
    assert "no verdict on pair 1" in models.users[-1]
    assert not models.set_aside_requests
    assert result.counters["filtered"] == 0


def test_an_unanswered_call_gives_no_verdict():
    facts = table("facts", STORIES)
    given = {"facts": facts, "embeddings": embeddings(facts, lambda _: spot(1))}
    models = ScriptedModels(lambda request: Answer(request.call_id(LLM), "unanswered", "down"))
    result = LlmVerdicts(llm=LLM).run(given, models)
    assert result.tables["verdicts"].num_rows == 0
    assert models.rounds == 1


def test_the_plausible_model_is_understood_at_once():
    given = inputs()
    models = PlausibleModels()
    result = LlmVerdicts(llm=LLM).run(given, models)
    assert models.rounds == 1
    assert not models.set_aside_requests
    assert result.counters["out"] == result.counters["in"] > 20


@pytest.mark.parametrize("seed", [1, 2])
def test_order_of_rows_does_not_matter(seed):
    given = inputs()
    whole = LlmVerdicts(llm=LLM).run(given, PlausibleModels()).tables["verdicts"]
    mixed = {name: shuffled(data, seed) for name, data in given.items()}
    assert LlmVerdicts(llm=LLM).run(mixed, PlausibleModels()).tables["verdicts"].equals(whole)


def test_a_call_per_conversation_gives_the_same_rows():
    given = inputs()
    whole = LlmVerdicts(llm=LLM).run(given, PlausibleModels()).tables["verdicts"]
    parts = [
        LlmVerdicts(llm=LLM).run(only(given, name), PlausibleModels()).tables["verdicts"]
        for name in ("c1", "c2", "c3")
    ]
    order = [(key, "ascending") for key in TABLES["verdicts"].key]
    assert pa.concat_tables(parts).sort_by(order).to_pylist() == whole.to_pylist()


def test_no_rows_in_no_rows_out_and_nobody_is_asked():
    empty = {name: data.slice(0, 0) for name, data in inputs().items()}
    models = PlausibleModels()
    made = LlmVerdicts(llm=LLM).run(empty, models).tables["verdicts"]
    assert made.schema.equals(TABLES["verdicts"].schema)
    assert made.num_rows == models.rounds == 0


def test_a_missing_vector_names_the_step_to_add():
    given = {"facts": table("facts", STORIES), "embeddings": table("embeddings", [])}
    with pytest.raises(ValueError, match="embed step"):
        LlmVerdicts(llm=LLM).run(given, PlausibleModels())


def test_it_declares_its_calls_and_its_prompt():
    operator = LlmVerdicts(llm=LLM)
    assert operator.writes() == ("verdicts", "artifacts")
    assert "judge_pairs@" in str(operator.fingerprint_parameters())
    assert operator.fingerprint() == LlmVerdicts(**operator.model_dump()).fingerprint()
    LlmVerdicts.model_json_schema()
