"""From the name of a replay model to its files, and what identifies them; loads no weights."""

import hashlib
import json
from pathlib import Path

from operators.llm.packaged.build_smollm2 import ModelBuildError, weights_folder
from operators.llm.packaged.resolve import SMOLLM2
from operators.replay.engines.base import ReplayEngineError

_TEXTS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_HASHED_WHOLE = 1 << 30
_ENDS = 1 << 20
_CHANGES_NOTHING = ("transformers_version", "_name_or_path")


def model_folder(name: str) -> Path:
    """Folder of a packaged model (built if need be), the folder itself, or a hub's snapshot.

    Raises:
        ReplayEngineError: there is no such folder, and no hub has a model of that name; or what
            the packaged one is made of is not installed.
    """
    if name == SMOLLM2:
        try:
            return weights_folder()
        except ModelBuildError as error:
            raise ReplayEngineError(f"replay: model: {name}: {error}") from error
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else _snapshot(name)


def _snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for models of a hub

    try:
        found = snapshot_download(name, allow_patterns=["*.json", "*.jinja", "*.safetensors"])
    except Exception as error:  # it has a dozen kinds, for offline, unknown, refused, invalid
        raise ReplayEngineError(
            f"replay: model: {name} is no folder, and cannot be fetched: {error}"
        ) from error
    return Path(found)


def weights_fingerprint(folder: str | Path) -> str:
    """Hash of all that decides a cache: configuration, tokenizer, chat template, weights.

    Weights up to 1 GiB are hashed whole (0.2 s for 269 MB). Of larger ones the hash takes each
    file's name, size, first and last MiB (the first holds the table of tensors), so a change
    elsewhere in a file of the same size goes unseen.

    Raises:
        ReplayEngineError: the folder has no config.json or no safetensors.
    """
    folder = Path(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise ReplayEngineError(
            f"replay: model: {folder} must hold config.json and *.safetensors; other formats have "
            "to be converted first"
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = {key: value for key, value in config.items() if key not in _CHANGES_NOTHING}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in _TEXTS:
        text = (folder / name).read_bytes() if (folder / name).is_file() else b""
        digest.update(hashlib.sha256(text).digest())
    whole = sum(file.stat().st_size for file in weights) <= _HASHED_WHOLE
    for file in weights:
        digest.update(f"{file.name}:{file.stat().st_size}:".encode())
        digest.update(_of_weights(file, whole=whole))
    return digest.hexdigest()


def _of_weights(path: Path, *, whole: bool) -> bytes:
    with path.open("rb") as file:
        if whole:
            return hashlib.file_digest(file, "sha256").digest()
        digest = hashlib.sha256(file.read(_ENDS))
        file.seek(max(0, path.stat().st_size - _ENDS))
        digest.update(file.read(_ENDS))
        return digest.digest()
