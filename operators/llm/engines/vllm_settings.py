"""How vLLM is set up for a declared model: environment variables and engine arguments."""

import os
from pathlib import Path
from typing import Any

from operators.llm.spec import VllmLlm

_CACHE_BLOCK = 32  # tokens; the CPU engine's own 128 would share prefixes in steps of 128


def environment(llm: VllmLlm, weights: str) -> dict[str, str]:
    """Variables that must stand before vLLM is imported; those given from outside win.

    Nothing is reported to anyone, nothing listens beyond this machine, and weights that lie
    in a folder are not looked for on a hub.
    """
    wanted = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
        # A forked engine would hold the pipe that tells the reaper of this process's end.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if Path(weights).is_dir():
        wanted["HF_HUB_OFFLINE"] = "1"
    if not llm.gpus:
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = _thread_binding(llm)
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _thread_binding(llm: VllmLlm) -> str:
    """All cores of this process for a single engine; where several share them, no binding."""
    if llm.replicas > 1:
        return "nobind"
    return ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))


def engine_arguments(llm: VllmLlm, weights: str) -> dict[str, Any]:
    """Arguments of vLLM's `EngineArgs` (and of `vllm.LLM`).

    JSON is written without white space: fewer tokens, and small models do not get lost in it.
    """
    arguments: dict[str, Any] = {
        "model": weights,
        "revision": llm.revision,
        "dtype": llm.dtype,
        "max_model_len": llm.max_model_len,
        "seed": llm.seed,
        "enforce_eager": llm.enforce_eager,
        "enable_prefix_caching": True,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if llm.gpus:
        return arguments | {
            "tensor_parallel_size": llm.tensor_parallel,
            "gpu_memory_utilization": llm.gpu_memory_utilization,
            # Not Ray: the actor that hosts the engine has been given all its GPUs.
            "distributed_executor_backend": "mp" if llm.tensor_parallel > 1 else None,
        }
    return arguments | {
        "block_size": _CACHE_BLOCK,
        "kv_cache_memory_bytes": int(llm.kv_cache_gib * 2**30),
    }
