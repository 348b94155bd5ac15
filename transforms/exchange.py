"""Hands frames to an in-process runner and back without copying them through a coder.

A Beam element would be pickled at the borders of the pipeline. For a runner that works in
this very process (`FnApiRunner`), a token stands for the frame there instead; frames are
immutable, so sharing them is safe. Not for runners on other processes.
"""

import itertools
import threading
from typing import cast

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.frame import Frame

_FRAMES: dict[str, Frame] = {}
_LOCK = threading.Lock()
_SERIAL = itertools.count()


def deposit(frame: Frame, token: str | None = None) -> str:
    """Keep `frame` until `collect`; returns its token."""
    with _LOCK:
        token = token or f"frame-{next(_SERIAL)}"
        _FRAMES[token] = frame
    return token


def collect(token: str) -> Frame:
    """The frame left under `token`, which is then forgotten."""
    with _LOCK:
        return _FRAMES.pop(token)


class ReadDeposited(beam.PTransform[PBegin, PCollection[Frame]]):
    """PBegin -> the deposited frame."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def expand(self, input_or_inputs: PBegin) -> PCollection[Frame]:
        """Take the frame out of the exchange."""
        tokens = input_or_inputs | beam.Create([self._token])
        return cast("PCollection[Frame]", tokens | beam.Map(collect).with_output_types(Frame))


class WriteDeposited(beam.PTransform[PCollection[Frame], PCollection[str]]):
    """Frame -> deposited under `token`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def expand(self, input_or_inputs: PCollection[Frame]) -> PCollection[str]:
        """Leave the frame in the exchange."""
        deposited = input_or_inputs | beam.Map(deposit, token=self._token)
        return cast("PCollection[str]", deposited)
