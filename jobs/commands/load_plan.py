"""The plan that a command works by: a pipeline, with what the command line says of its model."""

from urllib.parse import parse_qsl, urlsplit

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
        UsageError: the options about the model do not fit the pipeline or each other, or an
            address holds a password.
    """
    loaded = load(pipeline)
    if llm_url is None:
        if llm_model or llm_key_env:
            raise UsageError(
                "--llm-model and --llm-key-env say more about --llm-url: give that, too"
            )
        return _without_secrets(make_plan(loaded))
    if not calls_a_model(loaded):
        raise UsageError(
            f"--llm-url: no step of pipeline '{loaded.spec.name}' calls a language model; "
            "conversation_memory_llm does"
        )
    try:
        OpenAiLlm(url=llm_url, model=llm_model or "any", api_key_env=llm_key_env)
    except ValidationError as error:
        raise UsageError(_invalid(error)) from None  # It quotes what was given: perhaps a key.
    return _without_secrets(make_plan(with_endpoint(loaded, llm_url, llm_model, llm_key_env)))


_SECRET_NAMES = ("key", "token", "secret", "password", "passwd", "pwd", "sig", "credential")
_OPTIONS = {"url": "--llm-url", "model": "--llm-model", "api_key_env": "--llm-key-env"}


def _invalid(error: ValidationError) -> str:
    field = str(error.errors(include_url=False, include_input=False)[0]["loc"][-1])
    wanted = {
        "url": "is the address of the endpoint, such as http://127.0.0.1:8000/v1",
        "model": "is the name of a model there",
        "api_key_env": "is the name of an environment variable that holds the key, not the key",
    }
    return f"{_OPTIONS.get(field, field)} {wanted.get(field, 'is not valid')}"


def _holds_secret(url: str) -> bool:
    """Whether an address has a user, a password, or a parameter such as `api-key`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url or "?" in url
    names = (name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return "@" in parts.netloc or any(mark in name for name in names for mark in _SECRET_NAMES)


def _without_secrets(plan: Plan) -> Plan:
    """The plan; it is recorded with every run, so no address in it may hold a password.

    Raises:
        UsageError: one does.
    """
    parts = [part for step in plan.steps for part in step.operator.llm_parts().values()]
    for llm in (part.llm for part in parts):
        if isinstance(llm, OpenAiLlm) and _holds_secret(llm.url):
            raise UsageError(
                f"the `url` of model {llm.model!r} (or --llm-url) holds a user or password or key, "
                "which would be recorded with every run. Take it out, put the key into an "
                "environment variable and name that as `api_key_env` (--llm-key-env)"
            )
    return plan
