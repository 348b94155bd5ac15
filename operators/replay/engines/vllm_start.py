"""How vLLM is set up to answer from caches."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from operators.llm.engines.vllm_engine import variables
from operators.llm.engines.vllm_settings import engine_arguments, environment
from operators.llm.spec import VllmLlm
from operators.replay.engines.base import ReplayEngineError
from operators.replay.spec import ReplaySpec

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_CONNECTOR = ("operators.replay.engines.vllm_connector", "MemoryflowKvConnector")
_GPU_SHARE = 0.9
"""Of the GPU's memory, or of the part of it that an engine is given."""


def as_llm(spec: ReplaySpec) -> VllmLlm:
    """The model as the LLM operators would declare it."""
    return VllmLlm(
        model=spec.model,
        dtype=spec.dtype,
        replicas=max(1, spec.actors),
        gpus=spec.gpus,
        tensor_parallel=max(1, int(spec.gpus)),
        gpu_memory_utilization=_GPU_SHARE * min(1.0, spec.gpus or 1.0),
        kv_cache_gib=spec.kv_cache_gib,
    )


def vllm_variables(spec: ReplaySpec, weights: str) -> AbstractContextManager[None]:
    """Sets the environment variables that vLLM's processes inherit; puts them back on leaving."""
    return variables(environment(as_llm(spec), weights))


def start_vllm(spec: ReplaySpec, weights: str) -> "AsyncLLM":
    """The engine, ready to answer: in child processes, 15 to 40 s.

    Raises:
        ReplayEngineError: vLLM is not installed, or cannot run this model here.
    """
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415
        from vllm.usage.usage_lib import UsageContext  # noqa: PLC0415
        from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415
    except ImportError as error:
        extra = "gpu-vllm" if spec.gpus else "cpu-vllm"
        raise ReplayEngineError(
            f"replay: `engine: vllm` needs vLLM, which cannot be imported ({error}); install it "
            f"with `pip install 'memoryflow[{extra}]'`, or take `engine: transformers`"
        ) from error
    try:
        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(**_arguments(spec, weights)), usage_context=UsageContext.LLM_CLASS
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ReplayEngineError(f"replay: vLLM could not load {spec.model}: {error}") from error


def _arguments(spec: ReplaySpec, weights: str) -> dict[str, Any]:
    from vllm.config import KVTransferConfig  # noqa: PLC0415

    module, connector = _CONNECTOR
    return engine_arguments(as_llm(spec), weights) | {
        "max_model_len": -1,  # the model's own window, or what the KV cache has room for
        "kv_transfer_config": KVTransferConfig(
            kv_connector=connector,
            kv_connector_module_path=module,
            kv_role="kv_consumer",
            # A cache that cannot be loaded must not be computed from placeholders instead.
            kv_load_failure_policy="fail",
        ),
    }
