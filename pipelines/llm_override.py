"""The same pipeline with another model: for an endpoint that is known when it is run."""

from dataclasses import replace
from typing import Any

from operators.base import Operator
from operators.llm.spec import AnyLlm, OpenAiLlm
from pipelines.load import LoadedPipeline
from pipelines.spec import StepSpec


def with_endpoint(
    loaded: LoadedPipeline, url: str, model: str | None = None, key_env: str | None = None
) -> LoadedPipeline:
    """Every step that calls a model calls it at `url`; prices and sampling stay.

    Args:
        loaded: the pipeline.
        url: of an OpenAI-compatible endpoint, with `/v1`.
        model: its name there; None keeps the declared name.
        key_env: environment variable with the key.
    """

    def moved(llm: AnyLlm) -> AnyLlm:
        given: dict[str, Any] = {"api_key_env": key_env} if key_env else {}
        if isinstance(llm, OpenAiLlm):
            return llm.model_copy(update={"url": url, "model": model or llm.model, **given})
        return OpenAiLlm(
            url=url,
            model=model or llm.model,
            temperature=llm.temperature,
            seed=llm.seed,
            price=llm.price,
            **given,
        )

    steps = tuple(StepSpec(id=s.id, operator=_moved(s.operator, moved)) for s in loaded.spec.steps)
    return replace(loaded, spec=loaded.spec.model_copy(update={"steps": steps}))


def _moved(operator: Operator, moved: Any) -> Operator:
    updates: dict[str, Any] = {}
    for name, part in operator.llm_parts().items():
        llm = moved(part.llm)
        updates[name or "llm"] = part.model_copy(update={"llm": llm}) if name else llm
    return operator.model_copy(update=updates) if updates else operator


def calls_a_model(loaded: LoadedPipeline) -> bool:
    """Whether any step does."""
    return any(step.operator.llm_parts() for step in loaded.spec.steps)
