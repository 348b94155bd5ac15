import sys

import pytest

from operators.replay.engines.base import ReplayEngineError
from operators.replay.engines.vllm_start import as_llm, start_vllm
from operators.replay.spec import ReplaySpec


@pytest.mark.parametrize(("gpus", "extra"), [(0, "cpu-vllm"), (1, "gpu-vllm")])
def test_without_vllm_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, gpus: float, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "vllm.engine.arg_utils", None)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ReplayEngineError, match=rf"memoryflow\[{extra}\].*engine: transformers"):
        start_vllm(ReplaySpec(gpus=gpus), "/nowhere")


def test_an_engine_takes_its_share_of_a_gpu() -> None:
    assert as_llm(ReplaySpec(gpus=0.5)).gpu_memory_utilization == pytest.approx(0.45)
    assert as_llm(ReplaySpec(gpus=0.5)).tensor_parallel == 1
    assert as_llm(ReplaySpec(gpus=4)).gpu_memory_utilization == pytest.approx(0.9)
    assert as_llm(ReplaySpec(gpus=4)).tensor_parallel == 4


def test_engines_side_by_side_on_a_cpu_are_not_bound_to_its_cores() -> None:
    assert as_llm(ReplaySpec(actors=3)).replicas == 3
