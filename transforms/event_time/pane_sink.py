"""How panes leave a pipeline that runs in this process: a queue, found by its token.

DoFns are pickled, a queue cannot be; a token for it can (as in `transforms.exchange`).
"""

import itertools
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import apache_beam as beam

from transforms.event_time.runs import SessionPane

_SINKS: dict[str, SimpleQueue[SessionPane]] = {}
_LOCK = threading.Lock()
_SERIAL = itertools.count()


class PaneSink:
    """Takes panes from any thread."""

    def __init__(self) -> None:
        self._panes: SimpleQueue[SessionPane] = SimpleQueue()
        with _LOCK:
            self.token = f"panes-{next(_SERIAL)}"
            _SINKS[self.token] = self._panes

    def take(self) -> Sequence[SessionPane]:
        """What has come in since the last call; does not wait."""
        taken: list[SessionPane] = []
        try:
            while True:
                taken.append(self._panes.get_nowait())
        except Empty:
            return taken

    def close(self) -> None:
        """Panes that still come are dropped."""
        with _LOCK:
            _SINKS.pop(self.token, None)


class PutPanes(beam.DoFn):
    """SessionPane -> the sink, a whole bundle at a time: a bundle that fails is run again."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token
        self._bundle: list[SessionPane] = []

    def start_bundle(self) -> None:
        """Forget what a failed bundle left."""
        self._bundle = []

    def process(self, element: SessionPane) -> None:
        """Keep until the bundle is complete."""
        self._bundle.append(element)

    def finish_bundle(self) -> None:
        """Hand over."""
        with _LOCK:
            sink = _SINKS.get(self._token)
        if sink is not None:
            for pane in self._bundle:
                sink.put(pane)
