"""Runs the composite on one frame inside this process: what every batch partition does."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from operators.base import ModelAccess, Vectors
from operators.llm.call import Answer, Request
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm
from pipelines.composite import MemoryPipeline
from transforms.exchange import ReadDeposited, WriteDeposited, collect, deposit
from transforms.frame import Frame
from transforms.step import Step

_Answer = TypeVar("_Answer")


class _Held:
    """What the DoFns of the running call share with it.

    Beam pickles DoFns, and hands errors back as text. A live actor handle or an ONNX session
    must not travel that way, and a caller needs the error's type, so both wait here.
    """

    models: ModelAccess | None = None
    unavailable: ModelUnavailableError | None = None


class _Watched:
    """Models that remember why they failed."""

    def __init__(self, models: ModelAccess) -> None:
        self._models = models

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        return _watched(lambda: self._models.embed(texts, model_id))

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        return _watched(lambda: self._models.token_counts(texts, model_id))

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        return _watched(lambda: self._models.generate(llm, requests))


def _watched(call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except ModelUnavailableError as error:
        _Held.unavailable = error
        raise


def _held_models() -> ModelAccess:
    if _Held.models is None:
        raise RuntimeError("models are only open while run_in_process runs")
    return _Watched(_Held.models)


class _Translated:
    """The composite over some steps, translated once: building it costs as much as a small run."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.incoming = f"steps-{id(self)}"
        self.outgoing = f"{self.incoming}-out"
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
        frames = pipeline | ReadDeposited(self.incoming)
        memory = frames | MemoryPipeline(self.steps, _held_models)
        _ = memory | WriteDeposited(self.outgoing)
        # A decorator hides the class from the type checker.
        here = EmbeddedPythonEnvironment.default()  # pyright: ignore[reportFunctionMemberAccess]
        self._proto = pipeline.to_runner_api(default_environment=here)

    def run(self) -> None:
        """Run it over the frame left under `incoming`."""
        proto = beam_runner_api_pb2.Pipeline()
        proto.CopyFrom(self._proto)
        # The runner is named: the default one tries to download another first.
        FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()


_KEPT = 4
_TRANSLATED: list[_Translated] = []


def _translated(steps: Sequence[Step]) -> _Translated:
    """By identity of the steps: operators that look alike may not be the same code."""
    for known in _TRANSLATED:
        same = len(known.steps) == len(steps)
        if same and all(a is b for a, b in zip(known.steps, steps, strict=True)):
            return known
    _TRANSLATED.append(_Translated(steps))
    del _TRANSLATED[:-_KEPT]
    return _TRANSLATED[-1]


def run_in_process(steps: Sequence[Step], frame: Frame, models: ModelAccess) -> Frame:
    """The frame after all steps. About 0.1 s of fixed cost, whatever the frame's size.

    Not for several threads of one process at a time.

    Raises:
        ModelUnavailableError: a model could not be reached.
    """
    _Held.models, _Held.unavailable = models, None
    translated = _translated(steps)
    deposit(frame, translated.incoming)
    try:
        translated.run()
    except RuntimeError:
        if _Held.unavailable is not None:
            raise _Held.unavailable from None
        raise
    finally:
        _Held.models = None
    return collect(translated.outgoing)
