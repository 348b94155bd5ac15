"""The same pipeline with another model."""

import pytest

from jobs.commands.load_plan import load_plan
from jobs.errors import UsageError
from jobs.llm_gateways import llms_of
from operators.llm.spec import OpenAiLlm
from pipelines.plan import plan, plan_spec, restored_plan

URL = "http://127.0.0.1:9/v1"


def test_every_step_asks_the_endpoint() -> None:
    (llm,) = llms_of(load_plan("conversation_memory_llm", URL, "big", "MY_KEY"))
    assert isinstance(llm, OpenAiLlm)
    assert (llm.url, llm.model, llm.api_key_env) == (URL, "big", "MY_KEY")


def test_the_model_keeps_its_name_unless_told_otherwise() -> None:
    (declared,) = llms_of(plan("conversation_memory_llm"))
    (moved,) = llms_of(load_plan("conversation_memory_llm", URL))
    assert moved.model == declared.model
    assert moved.temperature == declared.temperature


def test_another_model_is_another_plan_and_another_place_is_not() -> None:
    here = load_plan("conversation_memory_llm", URL, "big")
    there = load_plan("conversation_memory_llm", "http://127.0.0.2:9/v1", "big", "KEY")
    assert here.fingerprint == there.fingerprint
    assert here.fingerprint != load_plan("conversation_memory_llm", URL, "bigger").fingerprint


def test_the_recorded_pipeline_names_the_endpoint_and_holds_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    using = load_plan("conversation_memory_llm", URL, "big", "MY_KEY")
    assert "sk-very-secret" not in plan_spec(using)
    again = restored_plan(plan_spec(using))
    assert again.fingerprint == using.fingerprint
    assert llms_of(again) == llms_of(using)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="no step of pipeline 'conversation_memory' calls"):
        load_plan("conversation_memory", URL)
    with pytest.raises(UsageError, match="--llm-url"):
        load_plan("conversation_memory_llm", None, "big")
    with pytest.raises(UsageError, match="--llm-url"):
        load_plan("conversation_memory_llm", "localhost:8000")
