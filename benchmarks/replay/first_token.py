"""Time to the first token, and bytes: compressed caches against full prefill, in one run.

    python -m benchmarks.replay.first_token [--plot replay-first-token.svg] [--json FILE]
    python -m benchmarks.replay.first_token --engines transformers --device cuda \
        --dtype bfloat16 --random-llama --sizes 4096 16384 65536

For each size a history of so many tokens, from the sample logs, is compressed and stored once.
Then each engine answers a question of some forty tokens with one token: after the history as
plain tokens (full prefill), and after the stored cache. The time runs from the request to the
token, reading and verifying the file included. Every repetition gets tokens or a file that
nobody has seen, so that no engine answers from what it kept; "next question" is another
question to the episode just loaded. Medians; sizes from 4,096 on are prefilled once.

Sizes past the model's window get a copy of the model with a longer one: times only.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.replay.first_token_table import bytes_table, lines_of, times_table
from benchmarks.replay.long_history import LongHistory
from benchmarks.replay.long_window import with_window
from benchmarks.replay.random_llama import random_llama
from benchmarks.replay.timed import Timed, timed
from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayEngine, StoredKv
from operators.replay.engines.transformers_engine import TransformersEngine
from operators.replay.engines.vllm_engine import VllmReplayEngine
from operators.replay.episodes.text import question_tokens
from operators.replay.method_parts import method_of
from operators.replay.model import ReplayModel
from operators.replay.prefill import prefill
from operators.replay.spec import ReplaySpec
from operators.replay.store import StoredFile, save_kv
from operators.replay.weights import model_folder

_QUESTIONS = (
    "What did they plan for the summer, and who was against it?",
    "Which of the dates that were mentioned came first?",
)
_PATCH_TOKENS = 256
_ROOM = 256
"""Tokens for question and answer."""


def main() -> None:
    """Measure, print Markdown tables, and plot."""
    options = _options()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as scratch:
        folder = Path(scratch)
        spec = _spec(options, folder)
        made, rows = _measured(spec, options, folder)
    print(f"\n{_title(spec)}\n\n{bytes_table(made)}\n\n{times_table(rows)}")
    print(f"\n{time.perf_counter() - began:.0f} s on {os.cpu_count()} cores")
    if options.json:
        report = {"caches": made, "times": [vars(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if options.plot:
        from benchmarks.replay.plot import first_token_plot  # noqa: PLC0415

        first_token_plot(options.plot, lines_of(rows))


def _measured(
    spec: ReplaySpec, options: argparse.Namespace, folder: Path
) -> tuple[list[dict[str, Any]], list[Timed]]:
    model = _model(spec, options)
    history = LongHistory(model.tokenizer)
    made: list[dict[str, Any]] = []
    caches: dict[int, list[StoredKv]] = {}
    for size in options.sizes:
        row, caches[size] = _made(spec, model, history.tokens(size), folder, options.repeats)
        made.append(row)
        print(f"made a cache of {size} tokens in {row['seconds']:.1f} s", flush=True)
    questions = [question_tokens(text, None, model.tokenizer) for text in _QUESTIONS]
    rows: list[Timed] = []
    for name in options.engines:
        engine = _engine(name, spec, model)
        try:
            rows += timed(name, engine, history, caches, questions)
        finally:
            engine.close()
    return made, rows


def _made(
    spec: ReplaySpec, model: ReplayModel, tokens: tuple[int, ...], folder: Path, copies: int
) -> tuple[dict[str, Any], list[StoredKv]]:
    """The cache of `tokens` in as many files that differ, and what it is."""
    budget, method = spec.budget(len(tokens)), method_of(spec, model)
    began = time.perf_counter()
    done = prefill(model, tokens, tokens[:_PATCH_TOKENS], budget, method)
    seconds = time.perf_counter() - began
    kv, name = done.kv, f"kv-{len(tokens)}"
    per_token = kv.bytes // sum(key.shape[1] for key in kv.keys) * len(kv.keys)
    files = [_save(folder, name, kv, number, model) for number in range(copies)]
    row = {
        "tokens": len(tokens),
        "kept": kv.length,
        "full_bytes": per_token * len(tokens),
        "bytes": kv.bytes,
        "file_bytes": files[0].bytes,
        "int8_file_bytes": save_kv(folder, f"{name}-int8", kv, "int8").bytes,
        "peak_bytes": done.peak_bytes,
        "seconds": seconds,
    }
    stored = [
        StoredKv(f"{name}-{number}", file.path, file.checksum, kv.length)
        for number, file in enumerate(files)
    ]
    return row, stored


def _save(folder: Path, name: str, kv: CompressedKv, number: int, model: ReplayModel) -> StoredFile:
    """With another number in its header, which gives each copy a checksum of its own."""
    other = replace(kv, source_tokens=kv.source_tokens + number)
    precision = "bfloat16" if model.dtype == torch.bfloat16 else "float32"
    return save_kv(folder, f"{name}-{number}", other, precision, model=model.fingerprint)


def _engine(name: str, spec: ReplaySpec, model: ReplayModel) -> ReplayEngine:
    return VllmReplayEngine(spec) if name == "vllm" else TransformersEngine(model)


def _model(spec: ReplaySpec, options: argparse.Namespace) -> ReplayModel:
    if options.random_llama:
        return random_llama(spec.model, spec.dtype, options.device)
    return ReplayModel.load(spec.model, spec.dtype, options.device)


def _spec(options: argparse.Namespace, folder: Path) -> ReplaySpec:
    window = max(options.sizes) + _ROOM
    model = with_window(model_folder(options.model), window, folder / "model")
    chosen = {"scorer": options.scorer} if options.scorer else {}
    return ReplaySpec.model_validate(
        {
            "model": str(model),
            "dtype": options.dtype,
            "ratio": options.ratio,
            "kv_cache_gib": options.kv_cache_gib,
            **chosen,
        }
    )


def _title(spec: ReplaySpec) -> str:
    return (
        f"{spec.ratio:g}x, scorer {spec.scorer}, blocks of {spec.block}, {spec.dtype}, "
        f"{torch.get_num_threads()} threads"
    )


def _options() -> argparse.Namespace:
    defaults = ReplaySpec()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=defaults.model, help="packaged name or folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024 * 2**n for n in range(5)])
    parser.add_argument("--ratio", type=float, default=4.0)
    parser.add_argument("--scorer", help="instead of the default one")
    parser.add_argument("--repeats", type=int, default=3)
    engines = ("transformers", "vllm")
    parser.add_argument("--engines", nargs="+", choices=engines, default=list(engines))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", help="of transformers")
    parser.add_argument("--random-llama", action="store_true", help="1.2e9 random weights instead")
    parser.add_argument("--kv-cache-gib", type=float, default=2.0, help="of vLLM on CPU")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--plot", type=Path, help="write an SVG here")
    options = parser.parse_args()
    if options.random_llama and "vllm" in options.engines:
        parser.error("--random-llama is for --engines transformers")
    return options


if __name__ == "__main__":
    main()
