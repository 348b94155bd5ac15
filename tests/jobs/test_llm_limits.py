"""What a run may spend of a language model: limits that nobody could keep are refused."""

from dataclasses import replace

import pytest
import stamina.instrumentation

from jobs.errors import UsageError
from jobs.llm_gateways import NO_LIMITS, Gateways, Limits, check_limits
from operators.llm.engines.base import Engine
from operators.llm.spec import Price, VllmLlm
from pipelines.plan import Plan, plan

BY_MODEL = plan("conversation_memory_llm")
BY_RULES = plan("conversation_memory")


def priced(price: Price) -> Plan:
    steps = [step for step in BY_MODEL.steps if step.id == "extract"]
    llm = steps[0].operator.llm_parts()[""].llm.model_copy(update={"price": price})
    operator = steps[0].operator.model_copy(update={"llm": llm})
    return replace(BY_MODEL, steps=(replace(steps[0], operator=operator),))


@pytest.mark.parametrize("limits", [Limits(max_tokens=0), Limits(max_cost=1.0)])
def test_limits_of_a_pipeline_without_a_model(limits: Limits) -> None:
    with pytest.raises(UsageError, match="no step of pipeline 'conversation_memory' calls"):
        check_limits(BY_RULES, limits)


def test_a_cost_that_nothing_adds_to() -> None:
    with pytest.raises(UsageError, match="smollm2-135m-instruct has no price"):
        check_limits(BY_MODEL, Limits(max_cost=1.0))


@pytest.mark.parametrize(
    ("using", "limits"),
    [
        (BY_RULES, Limits()),
        (BY_MODEL, Limits(max_tokens=0)),
        (priced(Price(output=0.4)), Limits(max_cost=1.0)),
    ],
)
def test_limits_that_can_be_kept(using: Plan, limits: Limits) -> None:
    check_limits(using, limits)


def test_a_retry_is_not_logged_with_what_was_asked() -> None:
    async def no_vllm(_: VllmLlm) -> Engine:
        raise AssertionError

    Gateways(None, NO_LIMITS, no_vllm)
    assert stamina.instrumentation.get_on_retry_hooks() == ()
