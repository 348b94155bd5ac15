"""A stream that is killed in the middle, however fast it is or slow the machine."""

from collections.abc import Callable, Sequence

from tests.jobs.processes import RUN_SECONDS, running

_TRIES = 5


def kill_in_the_middle(
    command: Sequence[object],
    moment: str,
    is_something_left: Callable[[], bool],
    write_again: Callable[[], None],
) -> None:
    """Kill a stream at a moment of a commit, e.g. "2: snapshot", with something left to read.

    Where this machine let it finish first, everything is written once more, which changes no
    memory, and the next one is killed.
    """
    for _ in range(_TRIES):
        with running(*command) as stream:
            stream.wait_for_line(f"^commit {moment}|ended:", 2 * RUN_SECONDS)
            stream.kill()
        if is_something_left():
            return
        write_again()
    raise AssertionError("always too late to test anything")
