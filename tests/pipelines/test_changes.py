from dataclasses import dataclass
from typing import Any

from operators.base import Operator
from pipelines.changes import StepChange, compare
from pipelines.load import loads
from pipelines.plan import Plan, make_plan, plan_record
from pipelines.registry import operators
from tests.pipelines.toy_operators import TOY_YAML, TOYS


@dataclass
class FakeStats:
    plan: dict[str, Any] | None

    def conversations(self) -> int:
        return 3

    def sessions(self) -> int:
        return 40

    def texts(self) -> int:
        return 500

    def last_plan(self) -> dict[str, Any] | None:
        return self.plan


def _plan(text: str = TOY_YAML, known: tuple[type[Operator], ...] = TOYS) -> Plan:
    return make_plan(loads(text, "p.yaml", operators(known, [])))


def _changes(text: str, record: dict[str, Any] | None = None) -> dict[str, StepChange]:
    stats = FakeStats(plan_record(_plan()) if record is None else record)
    return {change.step: change for change in compare(_plan(text), stats)}


def _reasons(text: str, record: dict[str, Any] | None = None) -> dict[str, tuple[str, ...]]:
    changes = _changes(text, record)
    return {name: change.reasons for name, change in changes.items() if change.reasons}


def test_the_same_plan_changes_nothing() -> None:
    changes = _changes(TOY_YAML)
    assert {change.status for change in changes.values()} == {"unchanged"}
    assert sum(change.keys + change.model_calls for change in changes.values()) == 0


def test_a_parameter_and_what_lies_downstream() -> None:
    text = TOY_YAML.replace("threshold: 0.9", "threshold: 0.8")
    assert _reasons(text) == {
        "judge": ("parameter threshold: 0.9 -> 0.8",),
        "entities": ("upstream step 'judge' changed",),
    }


def test_keys_and_model_calls_are_counted_by_key() -> None:
    changes = _changes(TOY_YAML.replace("turns: 2", "turns: 3"))
    assert [(c.step, c.keys, c.key, c.model_calls) for c in changes.values() if c.recompute] == [
        ("cells", 40, "session", 0),
        ("extract", 40, "session", 0),
        ("embed", 500, "text", 500),
        ("judge", 3, "conversation", 0),
        ("titles", 3, "conversation", 0),
        ("entities", 3, "conversation", 0),
    ]


def test_another_operator() -> None:
    record = plan_record(_plan())
    record["titles"] |= {"operator": "old_titles", "fingerprint": "x", "chained": "y"}
    assert _reasons(TOY_YAML, record) == {"titles": ("operator old_titles -> toy_titles",)}


def test_another_version_and_parameters_that_come_and_go() -> None:
    record = plan_record(_plan())
    record["judge"] |= {
        "version": 0,
        "parameters": {"threshold": 0.9, "gone": None},
        "fingerprint": "x",
        "chained": "y",
    }
    assert _reasons(TOY_YAML, record)["judge"] == (
        "version 0 -> 1",
        "parameter exact: (none) -> true",
        "parameter gone: null -> (none)",
    )


def test_a_change_inside_a_parameter_is_named_precisely() -> None:
    text = TOY_YAML.replace(
        "operator: toy_facts", "operator: toy_facts\n    wording: {kind: short, words: 9}"
    )
    assert _reasons(text)["extract"] == ("parameter wording.words: 5 -> 9",)


def test_a_fingerprint_that_differs_for_no_visible_reason() -> None:
    record = plan_record(_plan())
    record["titles"] |= {"fingerprint": "x", "chained": "y"}
    assert _reasons(TOY_YAML, record) == {"titles": ("fingerprint changed",)}


def test_new_and_removed_steps() -> None:
    text = TOY_YAML.replace("id: titles", "id: headings")
    assert _reasons(text) == {
        "headings": ("new step",),
        "titles": ("no longer in the pipeline",),
    }
    assert _changes(text)["titles"].status == "removed"


def test_input_from_other_steps() -> None:
    without = TOY_YAML.replace("  - id: judge\n    operator: toy_judge\n    threshold: 0.9\n", "")
    assert _reasons(without) == {
        "entities": ("its input comes from other steps than before",),
        "judge": ("no longer in the pipeline",),
    }


def test_an_empty_warehouse_computes_every_step() -> None:
    changes = compare(_plan(), FakeStats(None))
    assert {change.reasons for change in changes} == {("new step",)}
