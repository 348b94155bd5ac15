"""Reads the input however often it takes: readers may be lost, with what they had read."""

from collections.abc import Callable, Collection, Sequence

from ray.exceptions import RayError, RayTaskError

from jobs.batch.crew import Crew
from jobs.batch.losses import in_short, lost_with
from jobs.batch.reading import Partitioned, ReadOptions, read_partitions
from jobs.errors import EngineError
from transforms.sources.files import InputFile

_ATTEMPTS = 4


class InputReader:
    """Reads with whoever is idle.

    Args:
        files: the input.
        options: how it is read.
        crew: who reads.
        say: tells the user.
    """

    def __init__(
        self,
        files: Sequence[InputFile],
        options: ReadOptions,
        crew: Crew,
        say: Callable[[str], None],
    ) -> None:
        self._files = files
        self._options = options
        self._crew = crew
        self._say = say

    def read(
        self, wanted: Collection[int] | None = None, max_bad: int | None = None
    ) -> Partitioned:
        """All of the input, or the buckets `wanted`; stops early at too much bad input.

        Raises:
            EngineError: it cannot be read.
        """
        if not self._files:
            return Partitioned()
        for attempt in range(1, _ATTEMPTS + 1):
            self._crew.join()
            readers = self._crew.take_all()
            if not readers:
                self._crew.wait_for_one()
                readers = self._crew.take_all()
            try:
                read = read_partitions(self._files, self._options, readers, max_bad, wanted)
            except RayError as error:
                at_work = len(self._files)
                self._crew.give_back(*readers[at_work:])
                for reader in readers[:at_work]:  # The others wait in the middle of their files.
                    self._crew.replace(reader)
                _raise_if_it_stays(error)
                if attempt == _ATTEMPTS:
                    raise EngineError(f"the input cannot be read: {in_short(error)}") from error
                self._say(f"a reader was lost ({in_short(error)}): the input is read again")
            else:
                self._crew.give_back(*readers)
                return read
        raise AssertionError("unreachable")  # pragma: no cover


def _raise_if_it_stays(error: RayError) -> None:
    cause = error.cause if isinstance(error, RayTaskError) else None
    if isinstance(cause, OSError):
        raise EngineError(
            f"the input cannot be read: {cause}. On a cluster all nodes must see it at the same "
            "path, for instance on a shared folder"
        ) from error
    if lost_with(error) is None:
        raise error  # What is wrong with the input, it says itself.
