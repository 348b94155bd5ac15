"""The plan as ONE Beam composite: the same in every engine and mode."""

from collections.abc import Sequence
from typing import cast

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.frame import Frame
from transforms.run_step import ModelsFactory, RunStep
from transforms.step import Step


class MemoryPipeline(beam.PTransform[PCollection[Frame], PCollection[Frame]]):
    """Frames of raw messages in, frames of memory out: the declared steps in order."""

    def __init__(self, steps: Sequence[Step], models: ModelsFactory) -> None:
        super().__init__()
        self._steps = tuple(steps)
        self._models = models

    def expand(self, input_or_inputs: PCollection[Frame]) -> PCollection[Frame]:
        """Chain the steps."""
        frames = input_or_inputs
        for step in self._steps:
            done = frames | step.id >> RunStep(step, self._models)
            frames = cast("PCollection[Frame]", done)  # Beam types `|` as any PValue.
        return frames
