import io
import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from jobs.explain import explain
from pipelines.changes import RecordedCalls
from pipelines.estimate import Sample, head
from pipelines.load import SHIPPED, load, loads
from pipelines.plan import Plan, make_plan, plan_record
from pipelines.registry import operators
from tests.pipelines.toy_operators import TOY_YAML, TOYS, toy_messages


@dataclass
class FakeStats:
    plan: dict[str, Any]

    def conversations(self) -> int:
        return 3

    def sessions(self) -> int:
        return 40

    def texts(self) -> int:
        return 1500

    def model_calls(self) -> dict[str, RecordedCalls]:
        return {"extract": RecordedCalls(7, 2_100, 0.25)}

    def last_plan(self) -> dict[str, Any]:
        return self.plan


def _plan(text: str = TOY_YAML) -> Plan:
    return make_plan(loads(text, "p.yaml", operators(TOYS, [])))


SAMPLE = Sample(head([toy_messages(["one two three four", "five six"])]), 100, 100_000)


def test_the_plan_as_text_names_tables_and_places() -> None:
    plan = _plan()
    text = explain(plan).to_text(width=200)
    assert text.startswith(f"toy, fingerprint {plan.fingerprint}\n")
    lines = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    rows = {cells[1]: cells[2:] for cells in lines if len(cells) > 2 and cells[1]}
    assert rows["embed"][:7] == [
        "toy_embed",
        "text",
        "facts.text",
        "embeddings",
        "embedding",
        "embedder actor",
        plan.step("embed").chained_fingerprint[:12],
    ]
    assert rows["cells"][5] == "ray worker"
    assert rows["(commit)"][5] == "driver"
    assert "Expected" not in text
    assert "against the warehouse" not in text


def test_the_plan_as_json() -> None:
    plan = _plan()
    body = json.loads(explain(plan).to_json())
    assert body["pipeline"] == "toy"
    assert body["fingerprint"] == plan.fingerprint
    assert body["expected"] is None
    assert body["changes"] is None
    assert body["steps"][1] == {
        "id": "cells",
        "operator": "toy_cells",
        "version": 1,
        "parameters": {"turns": 2},
        "key": "session",
        "reads": ["messages"],
        "writes": ["cells"],
        "upstream": ["sessions"],
        "cost": "none",
        "runs_on": "ray worker",
        "fingerprint": plan.step("cells").fingerprint,
        "chained": plan.step("cells").chained_fingerprint,
    }


def test_expected_work() -> None:
    found = explain(_plan(), SAMPLE)
    text = found.to_text(width=200)
    assert "Expected for about 2,000 messages (sampled 2): 2,000 embeddings, 0 LLM calls" in text
    expected = json.loads(found.to_json())["expected"]
    assert expected["embeddings"] == 2000
    assert expected["llm_calls"] == 0
    assert expected["steps"][0]["step"] == "embed"


def test_input_without_a_message_is_told() -> None:
    nothing = Sample(SAMPLE.messages.slice(0, 0), 100, 100)
    text = explain(_plan(), nothing).to_text(width=200)
    assert "No message of the input could be read" in text
    assert "Expected" not in text


def test_what_a_change_recomputes() -> None:
    stats = FakeStats(plan_record(_plan()))
    changed = _plan(TOY_YAML.replace("turns: 2", "turns: 3"))
    found = explain(changed, warehouse=stats)
    text = found.to_text(width=200)
    assert "parameter turns: 2 -> 3" in text
    assert "1,500 texts" in text
    assert "To compute again: cells, extract, embed, judge, titles, entities; at most 1,500" in text
    changes = {change["step"]: change for change in json.loads(found.to_json())["changes"]}
    assert changes["sessions"]["status"] == "unchanged"
    assert changes["cells"]["reasons"] == ["parameter turns: 2 -> 3"]
    assert changes["embed"]["keys"] == 1500


def test_nothing_to_recompute() -> None:
    plan = _plan()
    text = explain(plan, warehouse=FakeStats(plan_record(plan))).to_text(width=200)
    assert text.endswith("Nothing to compute again.\n")


def test_warnings_are_shown() -> None:
    text = TOY_YAML[: TOY_YAML.index("  - id: extract")]
    assert "is unused: no later step reads cells" in explain(_plan(text)).to_text(width=200)


def test_text_in_brackets_is_not_taken_for_markup() -> None:
    record = plan_record(_plan())
    record["cells"] |= {"fingerprint": "x", "chained": "y", "parameters": {"turns": "[bold]2"}}
    text = explain(_plan(), warehouse=FakeStats(record)).to_text(width=200)
    assert 'parameter turns: "[bold]2" -> 2' in text


def test_a_narrow_console_loses_nothing() -> None:
    out = io.StringIO()
    explain(_plan(), SAMPLE).print(Console(file=out, width=60, color_system=None))
    assert "toy" in out.getvalue()


def test_prediction_stands_beside_what_is_recorded() -> None:
    plan = _plan()
    found = explain(plan, SAMPLE, FakeStats(plan_record(plan)))
    assert json.loads(found.to_json())["recorded_calls"] == {
        "extract": {"calls": 7, "tokens": 2_100, "dollars": 0.25}
    }
    assert "recorded tokens" in found.to_text(width=200)
    assert "recorded tokens" not in explain(plan, SAMPLE).to_text(width=200)


def test_calls_tokens_and_dollars_of_a_language_model() -> None:
    plan = make_plan(load("conversation_memory_llm"))
    lines = [
        f"{who}: {text}"
        for text in ("I moved to Porto last week.", "My sister Ana has a dog called Biscuit.")
        for who in ("Nora", "Tomas")
    ]
    sample = Sample(head([toy_messages(lines)]), 100, 1_000)
    steps = {step["step"]: step for step in _expected(plan, sample)["steps"]}
    assert steps["extract"]["calls"] == 10  # one call, for a tenth of the bytes
    assert steps["extract"]["tokens"] > 10 * 800  # the instructions alone
    assert steps["episodes"]["calls"] == 10
    assert steps["embed"]["cost"] == "embedding"
    assert _expected(plan, sample)["dollars"] == 0.0
    priced = make_plan(loads(_priced(), "p.yaml"))
    assert _expected(priced, sample)["dollars"] > 0
    assert ", $" in explain(priced, sample).to_text(width=200)


def _expected(plan: Plan, sample: Sample) -> dict[str, Any]:
    return json.loads(explain(plan, sample).to_json())["expected"]


def _priced() -> str:
    text = (SHIPPED / "conversation_memory_llm.yaml").read_text()
    return text.replace("  temperature: 0\n", "  temperature: 0\n  price: {input: 1, output: 2}\n")
