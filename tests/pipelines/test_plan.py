from pathlib import Path
from typing import ClassVar, Literal

import pytest

from operators.base import Cost, Key, Operator
from pipelines.errors import PipelineError
from pipelines.load import loads
from pipelines.plan import Plan, make_plan, plan, plan_record
from pipelines.registry import operators
from schemas.ids import content_hash
from tests.pipelines.toy_operators import TOY_YAML, TOYS, ToyCells

KNOWN = operators(TOYS, [])


def _plan(text: str = TOY_YAML) -> Plan:
    return make_plan(loads(text, "p.yaml", KNOWN))


def _steps(*names: str, extra: tuple[type[Operator], ...] = ()) -> Plan:
    lines = [f"  - {{id: {name.replace('toy_', '')}, operator: {name}}}" for name in names]
    text = "\n".join(["version: 1", "name: toy", "steps:", *lines])
    return make_plan(loads(text, "p.yaml", operators([*TOYS, *extra], [])))


def _errors(*names: str, extra: tuple[type[Operator], ...] = ()) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        _steps(*names, extra=extra)
    return [str(problem) for problem in caught.value.problems]


def test_steps_know_where_their_input_comes_from() -> None:
    upstream = {step.id: step.upstream for step in _plan().steps}
    assert upstream == {
        "sessions": (),
        "cells": ("sessions",),
        "extract": ("sessions", "cells"),
        "embed": ("extract",),
        "judge": ("extract", "embed"),
        "titles": ("extract",),  # Reads facts.text only: how facts are judged is nothing to it.
        "entities": ("sessions", "extract", "judge"),
    }


def test_a_chained_fingerprint_covers_all_upstream() -> None:
    steps = {step.id: step for step in _plan().steps}
    expected = content_hash(
        "step",
        steps["judge"].operator.fingerprint(),
        *sorted([steps["extract"].chained_fingerprint, steps["embed"].chained_fingerprint]),
    )
    assert steps["judge"].chained_fingerprint == expected
    assert steps["sessions"].chained_fingerprint == content_hash(
        "step", steps["sessions"].fingerprint
    )


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("threshold: 0.9", "threshold: 0.8", {"judge", "entities"}),
        ("turns: 2", "turns: 3", {"cells", "extract", "embed", "judge", "titles", "entities"}),
        ("operator: toy_embed", "operator: toy_embed\n    batch: 99", set()),
        ("name: toy", "name: other  # comment", set()),
        ("steps:", "runtime: {workers: 3}\nsteps:", set()),
    ],
)
def test_a_change_reaches_what_lies_downstream_only(old: str, new: str, changed: set[str]) -> None:
    before, after = _plan(), _plan(TOY_YAML.replace(old, new))
    different = {
        step.id
        for step in before.steps
        if step.chained_fingerprint != after.step(step.id).chained_fingerprint
    }
    assert different == changed
    assert (before.fingerprint == after.fingerprint) == (not changed)


def test_downstream_is_what_a_change_reaches() -> None:
    assert _plan().downstream("judge") == ("entities",)
    assert _plan().downstream("extract") == ("embed", "judge", "titles", "entities")
    assert _plan().downstream("titles") == ()
    with pytest.raises(KeyError):
        _plan().downstream("nowhere")


def test_input_rules_count_for_the_plan_but_for_no_step() -> None:
    before, after = _plan(), _plan("input: {max_text_chars: 9}\n" + TOY_YAML)
    assert before.fingerprint != after.fingerprint
    assert plan_record(before) == plan_record(after)


def test_the_order_of_independent_steps_does_not_count() -> None:
    base = ("toy_sessions", "toy_cells", "toy_facts")
    one = _steps(*base, "toy_titles", "toy_entities")
    two = _steps(*base, "toy_entities", "toy_titles")
    assert one.fingerprint == two.fingerprint


def test_a_column_read_follows_its_latest_writer() -> None:
    class ReadsStatus(Operator, frozen=True):
        operator: Literal["reads_status"] = "reads_status"
        READS: ClassVar[tuple[str, ...]] = ("facts.status",)
        WRITES: ClassVar[tuple[str, ...]] = ("scenes",)
        KEY: ClassVar[Key] = Key.CONVERSATION

    base = ("toy_sessions", "toy_cells", "toy_facts", "toy_embed")
    judged = _steps(*base, "toy_judge", "reads_status", extra=(ReadsStatus,))
    assert judged.step("reads_status").upstream == ("judge",)
    plain = _steps(*base, "reads_status", extra=(ReadsStatus,))
    assert plain.step("reads_status").upstream == ("facts",)


def test_a_step_has_what_the_engine_asks_of_it() -> None:
    found = _plan()
    step = found.step("embed")
    assert (step.key, step.cost) == (Key.TEXT, Cost.EMBEDDING)
    assert step.reads == ("facts.text",)
    assert step.writes == ("embeddings", "artifacts")
    assert found.tables == (
        "sessions",
        "cells",
        "facts",
        "embeddings",
        "artifacts",
        "links",
        "episodes",
        "entities",
        "mentions",
    )
    assert found.warnings == ()


def test_the_record_of_a_plan() -> None:
    found = _plan()
    assert plan_record(found)["cells"] == {
        "operator": "toy_cells",
        "version": 1,
        "parameters": {"turns": 2},
        "fingerprint": ToyCells(turns=2).fingerprint(),
        "chained": found.step("cells").chained_fingerprint,
    }
    assert plan_record(found)["embed"]["parameters"] == {}  # `batch` is a runtime field.


def test_plan_loads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(TOY_YAML)
    assert plan(path, KNOWN) == _plan()


def test_reading_a_table_nobody_writes() -> None:
    assert _errors("toy_titles") == [
        "p.yaml:4:28: steps[0].operator: step 'titles' reads facts.text, but no earlier step "
        "writes facts. Add a step before it with operator 'toy_facts'."
    ]


def test_reading_a_table_written_further_down() -> None:
    assert _errors("toy_sessions", "toy_facts", "toy_cells") == [
        "p.yaml:5:27: steps[1].operator: step 'facts' reads cells, but no earlier step writes "
        "cells. Move it after step 'cells' (line 6)."
    ]


def test_a_session_step_needs_sessions() -> None:
    assert _errors("toy_cells") == [
        "p.yaml:4:27: steps[0].operator: step 'cells' works by session, but no earlier step "
        "writes messages.session_id. Add a step before it with operator 'toy_sessions'."
    ]


def test_filling_in_a_column_of_a_table_nobody_writes() -> None:
    class Dater(Operator, frozen=True):
        operator: Literal["dater"] = "dater"
        READS: ClassVar[tuple[str, ...]] = ("messages",)
        WRITES: ClassVar[tuple[str, ...]] = ("facts.valid_from",)
        KEY: ClassVar[Key] = Key.CONVERSATION

    assert _errors("dater", extra=(Dater,)) == [
        "p.yaml:4:27: steps[0].operator: step 'dater' fills in facts.valid_from, but no earlier "
        "step writes facts. Add a step before it with operator 'toy_facts'."
    ]


def test_a_missing_table_is_told_once_per_step() -> None:
    assert len(_errors("toy_reset")) == 1


def test_two_writers_of_one_table() -> None:
    text = TOY_YAML + "  - {id: again, operator: toy_facts}\n"
    with pytest.raises(PipelineError) as caught:
        _plan(text)
    assert str(caught.value) == (
        "p.yaml:20:27: steps[7].operator: step 'again' writes facts, as step 'extract' (line 9) "
        "does. Keep one of the two steps."
    )


def test_links_and_artifacts_may_have_several_writers() -> None:
    text = TOY_YAML + "  - {id: again, operator: toy_judge}\n"
    again = _plan(text).step("again")
    assert again.upstream == ("extract", "embed", "judge")


def test_writing_the_input_is_refused() -> None:
    class Rewrite(Operator, frozen=True):
        operator: Literal["rewrite"] = "rewrite"
        READS: ClassVar[tuple[str, ...]] = ("messages",)
        WRITES: ClassVar[tuple[str, ...]] = ("messages",)
        KEY: ClassVar[Key] = Key.CONVERSATION

    assert _errors("rewrite", extra=(Rewrite,)) == [
        "p.yaml:4:29: steps[0].operator: step 'rewrite' writes messages, which is the input. "
        "A step may add columns to it."
    ]


def test_all_faults_of_the_flow_are_reported_at_once() -> None:
    assert len(_errors("toy_cells", "toy_titles", "toy_sessions", "toy_entities")) == 3


def test_an_unused_step_warns() -> None:
    found = _steps("toy_sessions", "toy_cells")
    assert [str(warning) for warning in found.warnings] == [
        "p.yaml:5:27: steps[1].operator: step 'cells' is unused: no later step reads cells. "
        "Remove it, or add the step that reads it."
    ]


def test_output_replaced_before_it_is_read_warns() -> None:
    found = _steps("toy_sessions", "toy_cells", "toy_facts", "toy_embed", "toy_judge", "toy_reset")
    assert [str(warning) for warning in found.warnings] == [
        "p.yaml:8:27: steps[4].operator: step 'judge' writes facts.status, which step 'reset' "
        "replaces before any step reads it. Remove one of the two steps."
    ]
