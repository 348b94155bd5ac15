"""Summaries of tree nodes by a model: what is asked, when, and what stands where it fails."""

import json

import pytest

from benchmarks.llm.tree_calls import RecordedCalls, in_one_batch, invented, streamed, summarise
from operators.base import Cost
from operators.memtree import LlmSummarizer, MemTree, MemTreeIndex
from tests.operators.llm.fakes import LLM, PlausibleModels, ScriptedModels
from tests.operators.samples import WORDS, fact, shuffled, table

SESSION_SIZE = 20


def told(count, conversation="c", **more):
    """Facts of a conversation, 20 a session, a day apart from session to session."""
    return [
        fact(
            f"{conversation}/m{n:04}",
            1440 * (n // SESSION_SIZE) + n % SESSION_SIZE,
            f"Ann told about {WORDS[n % 10]} number {n} and {WORDS[n * 7 % 10]}.",
            conversation_id=conversation,
            session_id=f"{conversation}/s{n // SESSION_SIZE}",
            **more,
        )
        for n in range(count)
    ]


def operator(scopes=("conversation",), **parameters):
    summarizer = {"kind": "llm", "llm": LLM.model_dump(), "scopes": list(scopes), **parameters}
    return MemTreeIndex.model_validate({"scopes": list(scopes), "summarizer": summarizer})


def run(rows, models=None, made=None, **parameters):
    data = table("facts", rows) if isinstance(rows, list) else rows
    result = (made or operator(**parameters)).run({"facts": data}, models or PlausibleModels())
    return result.tables["memtree_nodes"].to_pylist()


def by_level(nodes, by):
    return {node["level"] for node in nodes if node["summarizer"] == by}


def calls(models):
    return {request.call_id(LLM) for request in models.requests}


def test_all_levels_of_all_conversations_are_one_round_trip():
    models = PlausibleModels()
    rows = [*told(300), *told(200, "d"), *told(100, tenant="other")]
    nodes = run(rows, models, scopes=["session", "conversation"])
    assert models.rounds == 1
    assert {1, 2, 3} <= by_level(nodes, "llm")
    asked_for = {(request.tenant, request.conversation_id) for request in models.requests}
    assert asked_for == {("default", "c"), ("default", "d"), ("other", "c")}


def test_summaries_of_summaries_are_a_round_trip_a_level():
    models = PlausibleModels()
    nodes = run(told(300), models, source="summaries")
    levels = {node["level"] for node in nodes if node["is_closed"]}
    assert levels <= by_level(nodes, "llm")
    assert len(levels) <= models.rounds <= max(node["level"] for node in nodes)
    written = {node["node_id"]: node["summary"] for node in nodes}
    above = next(node for node in nodes if node["level"] == 2 and node["is_closed"])
    heads = [written[child][:60] for child in above["child_ids"]]
    assert any(all(head in user for head in heads) for user in models.users)


def test_with_statements_no_words_of_the_model_are_sent_to_it():
    models = ScriptedModels(lambda _: json.dumps({"summary": "Xyzzy happened."}))
    nodes = run(told(200), models)
    assert all("Xyzzy" not in user for user in models.users)
    assert all(node["summary"] == "Xyzzy happened." for node in nodes if node["is_closed"])


@pytest.mark.parametrize("source", ["statements", "summaries"])
def test_only_what_is_new_is_asked_after_an_append(source):
    before, after = PlausibleModels(), PlausibleModels()
    old = run(told(200), before, source=source)
    new = run(told(220), after, source=source)
    kept = {node["node_id"]: node["summary"] for node in new}
    closed = {node["node_id"]: node["summary"] for node in old if node["is_closed"]}
    assert closed.items() <= kept.items()
    open_nodes = sum(not node["is_closed"] for node in old)
    assert len(calls(before) - calls(after)) <= open_nodes
    assert len(calls(after) - calls(before)) <= 12


@pytest.mark.parametrize("source", ["statements", "summaries"])
def test_neither_order_nor_company_matters(source):
    made = operator(scopes=["session", "conversation"], source=source)
    alone = run(told(150), made=made)
    both = table("facts", [*told(150), *told(90, "d")])
    together = run(shuffled(both, 3), made=made)
    assert [node for node in together if node["conversation_id"] == "c"] == alone


def test_the_model_summarises_what_is_closed_and_what_grows_above_it():
    for count in range(1, 240, 7):
        rows = told(count)
        models = PlausibleModels()
        nodes = run(rows, models)
        by_id = {node["node_id"]: node for node in nodes}
        for node in nodes:
            children = [by_id[child] for child in node["child_ids"] if child in by_id]
            closed = [child for child in children if child["is_closed"]]
            if node["is_closed"]:
                assert node["summarizer"] == "llm"
            elif node["level"] == 1 or not closed:
                assert node["summarizer"] == "extractive"
            else:
                assert node["summarizer"] in ("llm", "llm+extractive")
            if not node["is_closed"] and len(children) > len(closed) == 1:
                assert node["summary"].startswith(closed[0]["summary"] + " ")
        asked = sum(node["is_closed"] for node in nodes)
        assert asked <= models.calls <= asked + max(node["level"] for node in nodes) - 1


def test_growing_nodes_are_asked_about_when_the_number_of_children_doubles():
    summarizer, models = LlmSummarizer(llm=LLM), RecordedCalls()
    facts = [invented(n) for n in range(250)]
    for size in range(1, len(facts) + 1):
        summarise(facts[:size], summarizer, models)
    tree = MemTree.build([leaf for leaf, _ in facts])
    closed = [node for node in tree.nodes() if node.is_closed]
    above = sum(node.level > 1 for node in tree.nodes())
    assert len(closed) <= len(models.answers) <= len(closed) + 3 * above


def test_a_growing_node_says_what_the_model_has_not_read_yet():
    rows = told(9)
    rows[8]["text"] = "Zoe bought a lighthouse."
    (root,) = (node for node in run(rows) if node["is_root"])
    assert root["summarizer"] in ("extractive", "llm+extractive")
    assert "lighthouse" in root["summary"]


def test_extracts_stand_in_for_what_the_model_fails_to_write():
    def script(request):
        summary = " " if "number 3 " in request.turns[1][1] else "Xyzzy happened."
        return json.dumps({"summary": summary})

    rows, models = told(100), ScriptedModels(script)
    nodes = run(rows, models)
    plain = {
        node["node_id"]: node["summary"]
        for node in MemTreeIndex(scopes=("conversation",))
        .run({"facts": table("facts", rows)}, PlausibleModels())
        .tables["memtree_nodes"]
        .to_pylist()
    }
    assert models.rounds == 2
    assert models.set_aside_reasons
    assert set(models.set_aside_reasons) == {"summary: it is empty"}
    failed = [node for node in nodes if rows[3]["fact_id"] in node["fact_ids"]]
    assert [node["summarizer"] for node in failed] == ["extractive"]
    assert failed[0]["summary"] == plain[failed[0]["node_id"]]
    assert by_level(nodes, "llm")


def test_a_summary_beyond_the_limit_is_refused():
    models = ScriptedModels(lambda _: json.dumps({"summary": "x" * 401}))
    assert by_level(run(told(60), models), "llm") == set()
    assert "400" in models.set_aside_reasons[0]


def test_other_scopes_keep_extracts():
    summarizer = LlmSummarizer(llm=LLM, scopes=("conversation",))
    made = MemTreeIndex(scopes=("session", "conversation"), summarizer=summarizer)
    nodes = run(told(200), made=made)
    shared = {node["node_id"] for node in nodes if node["scope_type"] == "conversation"}
    for node in nodes:
        if node["node_id"] not in shared:
            assert node["summarizer"] == "extractive"
        elif node["is_closed"]:
            assert node["summarizer"] == "llm"
    sessions = [node for node in nodes if node["scope_type"] == "session"]
    assert {node["summarizer"] for node in sessions} >= {"llm", "extractive"}


def test_lines_are_numbered_dated_and_bounded():
    rows = told(400)
    for row in rows:
        row["text"] += " and so on" * 20
    for source in ("statements", "summaries"):
        models = PlausibleModels()
        run(rows, models, source=source)
        assert all(user.startswith("[1] 2024-01-") for user in models.users)
        for user in models.users:
            lines = user.split("\n")
            assert [line.split("]")[0] for line in lines] == [
                f"[{number}" for number in range(1, len(lines) + 1)
            ]
            assert all(len(line) <= 120 + len("[16] 2024-01-01 ") for line in lines)
            assert len(user) <= 640 + 17 * len(lines)


def test_a_day_stands_where_it_begins():
    models = PlausibleModels()
    summarise([invented(n) for n in range(60)], LlmSummarizer(llm=LLM), models)
    several = [user for user in models.users if user.count(" 2023-11-") > 1]
    for user in several:
        days = [line.split()[1] for line in user.split("\n") if " 2023-11-" in line]
        assert days == sorted(set(days))
    assert several


def test_the_model_is_declared_in_the_step():
    made = operator()
    assert made.cost() is Cost.LLM
    assert made.writes() == ("memtree_nodes", "artifacts")
    assert made.fingerprint() != operator(source="summaries").fingerprint()
    assert MemTreeIndex().cost() is Cost.NONE
    with pytest.raises(ValueError, match="max_input_chars"):
        operator(max_input_chars=100)


def test_one_batch_costs_a_call_a_node_and_one_round_trip():
    number, round_trips = in_one_batch(LlmSummarizer(llm=LLM), 1000)
    tree = MemTree.build([invented(n)[0] for n in range(1000)])
    closed = sum(node.is_closed for node in tree.nodes())
    assert closed <= number <= closed + tree.depth - 1
    assert round_trips == 1


def test_a_recorded_answer_is_not_asked_for_again():
    models, facts = RecordedCalls(), [invented(n) for n in range(300)]
    first = summarise(facts, LlmSummarizer(llm=LLM), models)
    models.round_trips = 0
    assert summarise(facts[::-1], LlmSummarizer(llm=LLM), models) == first
    assert models.round_trips == 0


@pytest.mark.slow
def test_streaming_two_thousand_facts_into_one_tree_costs_at_most_450_calls():
    counts = streamed(LlmSummarizer(llm=LLM), sessions=100, size=20)
    assert 300 <= counts[-1] <= 450, "issue 4; 771 if every session refreshes everything"
