"""A declared step as a Beam PTransform over frames."""

from collections.abc import Callable
from typing import cast

import apache_beam as beam
from apache_beam.pvalue import PCollection

from operators.base import ModelAccess
from transforms.apply_step import apply_step
from transforms.frame import Frame
from transforms.frame_coder import register_frame_coder
from transforms.step import Step

register_frame_coder()

ModelsFactory = Callable[[], ModelAccess]
"""Opens the models on the worker; picklable, called once per worker process."""


class _RunStepFn(beam.DoFn):
    """Holds the worker's connection to the models between frames."""

    def __init__(self, step: Step, models: ModelsFactory) -> None:
        super().__init__()
        self._step = step
        self._open_models = models
        self._models: ModelAccess | None = None

    def setup(self) -> None:
        self._models = self._open_models()

    def process(self, element: Frame) -> list[Frame]:
        assert self._models is not None, "Beam calls setup() first"
        return [apply_step(self._step, element, self._models)]


class RunStep(beam.PTransform[PCollection[Frame], PCollection[Frame]]):
    """Frames in, frames with the step's tables out.

    Key: whole conversations; a frame holds all rows of each of its conversations. Reads and
    writes what the step's operator declares. No window of its own: it runs in the caller's.
    """

    def __init__(self, step: Step, models: ModelsFactory) -> None:
        super().__init__(label=step.id)
        self._step = step
        self._models = models

    def expand(self, input_or_inputs: PCollection[Frame]) -> PCollection[Frame]:
        """Apply the step to every frame."""
        fn = _RunStepFn(self._step, self._models)
        done = input_or_inputs | beam.ParDo(fn).with_output_types(Frame)
        return cast("PCollection[Frame]", done)  # Beam types `|` as any PValue.
