from typing import ClassVar, Literal

import pyarrow as pa

from operators.base import Cost, Key, Models, Operator, StepResult, Tables
from pipelines.estimate import CountingModels, Sample, about_tokens, estimate, head
from pipelines.load import loads
from pipelines.plan import Plan, make_plan
from pipelines.registry import operators
from schemas.tables import TABLES
from tests.pipelines.toy_operators import TOY_YAML, TOYS, toy_messages


class Broken(Operator, frozen=True):
    """Fails on any input."""

    operator: Literal["broken"] = "broken"
    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("sessions", "messages.session_id")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        raise RuntimeError("no luck")


def _plan(text: str = TOY_YAML) -> Plan:
    return make_plan(loads(text, "p.yaml", operators([*TOYS, Broken], [])))


def _sample(texts: list[str], read: int = 100, total: int = 100) -> Sample:
    return Sample(head([toy_messages(texts)]), read, total)


def test_distinct_texts_are_counted_and_extrapolated_by_bytes() -> None:
    found = estimate(
        _plan(), _sample(["a b", "a b", "c d e f"], 100, 1000), lambda t: len(t.split())
    )
    assert (found.sampled_messages, found.expected_messages) == (3, 30)
    (step,) = found.steps
    assert (step.step, step.cost, step.calls, step.tokens) == ("embed", "embedding", 20, 60)
    assert found.total(Cost.EMBEDDING) == 20
    assert found.total(Cost.LLM) == 0
    assert found.tokens == 60


def test_a_whole_input_is_not_extrapolated() -> None:
    assert estimate(_plan(), _sample(["x"], 100, 100)).expected_messages == 1
    assert estimate(_plan(), _sample(["x"], 100, 10)).expected_messages == 1
    assert estimate(_plan(), _sample([], 0, 0)).expected_messages == 0


def test_a_pipeline_without_models_runs_nothing() -> None:
    text = "version: 1\nname: toy\nsteps: [{id: a, operator: broken}]\n"
    assert estimate(_plan(text), _sample(["x"])).steps == ()


def test_a_step_that_fails_makes_the_rest_unknown() -> None:
    text = TOY_YAML.replace("toy_sessions", "broken")
    first, second = estimate(_plan(text), _sample(["x"])).steps
    assert (first.step, first.calls) == ("sessions", None)
    assert first.note == "unknown: failed on the sample with RuntimeError: no luck"
    assert (second.step, second.calls) == ("embed", None)
    assert second.note == "unknown: an earlier step failed"


def test_head_takes_the_first_messages_once_and_as_current() -> None:
    batches = (toy_messages([f"{i}{j}" for j in range(3)], f"c{i // 2}") for i in range(100))
    table = head(batches, 10)
    assert table.column("text").to_pylist() == ["00", "01", "02", "20", "21", "22"]
    assert set(table.column("is_current").to_pylist()) == {True}
    assert table.schema.equals(TABLES["messages"].schema)
    assert head([], 10).num_rows == 0


def test_head_stops_reading_at_the_limit() -> None:
    def batches() -> object:
        yield toy_messages(["a", "b"])
        raise AssertionError("read too far")

    assert isinstance(head(batches(), 2), pa.Table)  # type: ignore[arg-type]


def test_counting_models_ask_once_per_text_and_model() -> None:
    models = CountingModels(about_tokens)
    assert models.embed(["aaaaaaaa", "b"], "m").shape[0] == 2
    models.embed(["b"], "m")
    models.embed(["b"], "n")
    assert (models.calls, models.tokens) == (3, 4)
    assert models.token_counts(["aaaaaaaa"], "m") == [2]
