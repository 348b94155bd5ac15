"""The `memoryflow` command."""

import os
import sys
from importlib import import_module

import typer

from jobs.errors import JobError
from jobs.observe.logs import install, say, wanted_format

EXIT_USAGE = 2
EXIT_ENGINE = 4
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="memoryflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Which module has a command. Only that one is imported: `sql` must not wait for Beam, and
# Ray reads its settings when it is imported, which `run` has to make first.
_MODULES = {
    "validate": "plan",
    "explain": "plan",
    "run": "run",
    "stream": "stream",
    "consolidate": "consolidate",
    "status": "status",
    "sql": "query",
    "why": "query",
    "tree": "query",
    "digest": "query",
    "export": "query",
    "forget": "erase",
    "search": "recall",
    "eval": "recall",
    "replay": "replay",
    "doctor": "doctor",
    "report": "report",
    "submit": "submit",
    "job": "job",
}


def main() -> None:
    """Entry point: runs a command and turns what it raises into the contract's exit codes."""
    install(wanted_format(sys.argv[1:], os.environ))
    wanted = _MODULES.get(sys.argv[1] if len(sys.argv) > 1 else "")
    for module in [wanted] if wanted else dict.fromkeys(_MODULES.values()):
        import_module(f"jobs.commands.{module}").register(app)
    app.callback()(_main)  # Keeps the command's name even where only one is registered.
    code: object = 0
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except typer.Abort:
        _fail("aborted", EXIT_INTERRUPTED)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`: not an error of ours.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        _report(error)
    if code == EXIT_INTERRUPTED:  # As typer returns it, too, where it sees the interrupt.
        _fail("interrupted; what was committed stays, run again to go on", EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _main() -> None:
    """Conversation logs into long-term memory. Memory is a pure function of the log."""


def _report(error: Exception) -> None:
    """Known errors in one line; anything else with its traceback, as a defect."""
    from jobs.known_errors import exit_code_of  # noqa: PLC0415 - imports every layer

    if hasattr(error, "format_message"):  # click's own usage errors
        context = getattr(error, "ctx", None)
        usage = f"{context.get_usage()}\n" if context is not None else ""
        _fail(f"{usage}{error.format_message()}", EXIT_USAGE)  # pyright: ignore
    code = exit_code_of(error)
    if code is None:
        raise error
    _fail(str(error), code)


def _fail(message: str, code: int) -> None:
    say("command.failed", f"memoryflow: {message}", level="error", exit_code=code)
    sys.exit(code)


if __name__ == "__main__":
    main()

__all__ = ["JobError", "app", "main"]
