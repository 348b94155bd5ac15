"""The plan that a command works by: a pipeline, with what the command line says of its model."""

from pydantic import ValidationError

from jobs.errors import UsageError
from operators.llm.spec import OpenAiLlm
from pipelines.llm_override import calls_a_model, with_endpoint
from pipelines.load import load
from pipelines.plan import Plan, make_plan


def load_plan(
    pipeline: str,
    llm_url: str | None = None,
    llm_model: str | None = None,
    llm_key_env: str | None = None,
) -> Plan:
    """The plan of a YAML file or shipped pipeline.

    Raises:
        PipelineError: with every problem of the file.
        UsageError: the options about the model do not fit the pipeline or each other.
    """
    loaded = load(pipeline)
    if llm_url is None:
        if llm_model or llm_key_env:
            raise UsageError(
                "--llm-model and --llm-key-env say more about --llm-url: give that, too"
            )
        return make_plan(loaded)
    if not calls_a_model(loaded):
        raise UsageError(
            f"--llm-url: no step of pipeline '{loaded.spec.name}' calls a language model; "
            "conversation_memory_llm does"
        )
    try:
        OpenAiLlm(url=llm_url, model=llm_model or "any", api_key_env=llm_key_env)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise UsageError(f"--llm-{problem['loc'][-1]}: {problem['msg']}") from error
    return make_plan(with_endpoint(loaded, llm_url, llm_model, llm_key_env))
