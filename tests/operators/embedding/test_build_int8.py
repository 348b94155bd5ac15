"""The build gives one known model, in one known place, once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest

from operators.embedding import build_int8
from operators.embedding.build_int8 import model_path
from operators.embedding.model_graph import build_graph, graph_hash
from operators.embedding.model_id import GRAPH_HASH
from operators.embedding.package_files import ModelPackageMissingError, package_file


def test_built_model_has_the_recorded_tensors() -> None:
    assert graph_hash(onnx.load(model_path())) == GRAPH_HASH


def test_many_callers_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYFLOW_CACHE", str(tmp_path / "cache"))
    builds: list[int] = []

    def build() -> bytes:
        builds.append(1)
        return b"model"

    monkeypatch.setattr(build_int8, "_build", build)
    with ThreadPoolExecutor(8) as pool:
        paths = {f.result() for f in [pool.submit(model_path) for _ in range(8)]}
    assert len(builds) == 1
    assert [p.read_bytes() for p in paths] == [b"model"]
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {".onnx", ".lock"}


def test_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYFLOW_CACHE", str(tmp_path))

    def fail() -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(build_int8, "_build", fail)
    with pytest.raises(OSError, match="disk full"):
        model_path()
    assert not list(tmp_path.glob("*.onnx*"))


def test_missing_package_is_named() -> None:
    with pytest.raises(ModelPackageMissingError, match=r"x\.onnx of package no_such_package"):
        package_file("no_such_package", "x.onnx")


def test_other_version_of_the_packaged_model_is_refused() -> None:
    with pytest.raises(ValueError, match="0 matrices"):
        build_graph({})
