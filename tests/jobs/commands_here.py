"""Commands as typed, in this process: what they print, and the errors that they raise."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import typer
from typer.testing import CliRunner, Result

Register = Callable[[typer.Typer], None]


def invoke(register: Register, *arguments: object) -> Result:
    """How a command of `register` ended; what it raises, it raises here."""
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)  # Else a lone command would have no name.
    with _logging_restored():
        done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@contextmanager
def _logging_restored() -> Generator[None]:
    """Commands set up the logging of their process, which here is that of other tests, too."""
    root, hook = logging.getLogger(), sys.excepthook
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    sys.excepthook = hook


def printed(register: Register, *arguments: object) -> str:
    """The output of a command that succeeds."""
    done = invoke(register, *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout
