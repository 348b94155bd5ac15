"""The engine is set up as declared, and what the user's environment says stands."""

import sys

import pytest

from operators.llm.engines.base import EngineDownError
from operators.llm.engines.vllm_engine import VllmEngine
from operators.llm.engines.vllm_settings import engine_arguments, environment
from operators.llm.spec import VllmLlm

LLM = VllmLlm(model="m", kv_cache_gib=0.5, max_model_len=512)


def test_nothing_is_reported_and_nothing_listens_beyond_this_machine() -> None:
    variables = environment(LLM, "hub/name")
    assert variables["VLLM_NO_USAGE_STATS"] == "1"
    assert variables["VLLM_HOST_IP"] == "127.0.0.1"
    assert variables["GLOO_SOCKET_IFNAME"] == "lo"


def test_given_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "3-4")
    variables = environment(LLM, "hub/name")
    assert variables["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "3-4"


def test_weights_in_a_folder_need_no_hub(tmp_path: object) -> None:
    assert environment(LLM, str(tmp_path))["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment(LLM, "hub/name")


def test_a_single_cpu_engine_takes_all_cores_and_several_share_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5, 1, 3})
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    several = LLM.model_copy(update={"replicas": 2})
    on_gpu = LLM.model_copy(update={"gpus": 1.0})
    assert environment(LLM, "m")["VLLM_CPU_OMP_THREADS_BIND"] == "1,3,5"
    assert environment(several, "m")["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in environment(on_gpu, "m")


def test_cpu_arguments() -> None:
    arguments = engine_arguments(LLM, "/weights")
    assert arguments["model"] == "/weights"
    assert arguments["max_model_len"] == 512
    assert arguments["kv_cache_memory_bytes"] == 2**29
    assert arguments["enable_prefix_caching"]
    assert "gpu_memory_utilization" not in arguments


def test_gpu_arguments() -> None:
    llm = VllmLlm(model="m", gpus=2, tensor_parallel=2, gpu_memory_utilization=0.8)
    arguments = engine_arguments(llm, "m")
    assert arguments["tensor_parallel_size"] == 2
    assert arguments["distributed_executor_backend"] == "mp"
    assert arguments["gpu_memory_utilization"] == 0.8
    assert "kv_cache_memory_bytes" not in arguments


@pytest.mark.parametrize(("gpus", "extra"), [(0, "cpu-vllm"), (1, "gpu-vllm")])
def test_missing_vllm_says_how_to_get_it(
    gpus: int, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = [name for name in sys.modules if name.startswith("vllm.")]
    for name in ("vllm", *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineDownError, match=rf"pip install 'memoryflow\[{extra}\]'"):
        VllmEngine(VllmLlm(model="m", gpus=gpus))
