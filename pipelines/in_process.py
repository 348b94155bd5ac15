"""Runs the composite on one frame inside this process: what every batch partition does."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from operators.base import Models, Vectors
from pipelines.composite import MemoryPipeline
from transforms.apply_step import ModelUnavailableError
from transforms.exchange import ReadDeposited, WriteDeposited, collect, deposit
from transforms.frame import Frame
from transforms.step import Step

_Answer = TypeVar("_Answer")


class _Held:
    """What the DoFns of the running call share with it.

    Beam pickles DoFns, and hands errors back as text. A live actor handle or an ONNX session
    must not travel that way, and a caller needs the error's type, so both wait here.
    """

    models: Models | None = None
    unavailable: ModelUnavailableError | None = None


class _Watched:
    """Models that remember why they failed."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        return _watched(lambda: self._models.embed(texts, model_id))

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        return _watched(lambda: self._models.token_counts(texts, model_id))


def _watched(call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except ModelUnavailableError as error:
        _Held.unavailable = error
        raise


def _held_models() -> Models:
    if _Held.models is None:
        raise RuntimeError("models are only open while run_in_process runs")
    return _Watched(_Held.models)


def run_in_process(steps: Sequence[Step], frame: Frame, models: Models) -> Frame:
    """The frame after all steps. About 0.15 s of fixed cost, whatever the frame's size.

    Not for several threads of one process at a time.

    Raises:
        ModelUnavailableError: a model could not be reached.
    """
    _Held.models, _Held.unavailable = models, None
    incoming = deposit(frame)
    outgoing = f"{incoming}-out"
    # The runner is named: the default one tries to download another first.
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    frames = pipeline | ReadDeposited(incoming)
    memory = frames | MemoryPipeline(steps, _held_models)
    _ = memory | WriteDeposited(outgoing)
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError:
        if _Held.unavailable is not None:
            raise _Held.unavailable from None
        raise
    finally:
        _Held.models = None
    return collect(outgoing)
