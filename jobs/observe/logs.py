"""Log lines of a job, on stderr: for people, or as JSON Lines.

    say("commit.written", "commit 3: snapshot 17", number=3, snapshot=17)

prints the text, or with `--log-format json` (MEMORYFLOW_LOG_FORMAT=json) one object:

    time      ISO 8601, UTC
    level     info, warning or error
    event     what happened, for machines; `stderr` for what a library prints there
    run_id    of the row in `runs`; null before a run begins
    job       run, stream, consolidate, forget; null before
    message   the text
    ...       fields of the event

Then every line that Python code writes to stderr is such an object: warnings, log records and
tracebacks of libraries, too. In both forms secrets of the environment are masked.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import orjson

from jobs.errors import UsageError
from jobs.observe.current import told_run
from jobs.observe.secrets import mask, masked

LogFormat = Literal["text", "json"]
VARIABLE = "MEMORYFLOW_LOG_FORMAT"
OPTION = "--log-format"
_FORMATS: tuple[LogFormat, ...] = ("text", "json")
_PREFIX = "memoryflow: "


def say(event: str, text: str, *, level: str = "info", **fields: Any) -> None:
    """A line on stderr, at once."""
    stream = sys.stderr
    if isinstance(stream, JsonLines):
        stream.emit(_object(event, text.removeprefix(_PREFIX), level, fields))
    else:
        print(text, file=stream, flush=True)


def note(event: str, *, level: str = "info", **fields: Any) -> None:
    """What only machines want to know: a line as JSON, none for people."""
    stream = sys.stderr
    if isinstance(stream, JsonLines):
        stream.emit(_object(event, "", level, fields))


def use_format(given: str) -> None:
    """Have everything on stderr from now on in the form that `--log-format` names.

    Raises:
        UsageError: there is no such form.
    """
    install(checked_format(given))


def install(format_: LogFormat) -> None:
    """Have everything on stderr from now on masked and in this form; may be called again."""
    stream = sys.stderr
    plain = stream.plain if isinstance(stream, MaskedStream) else stream
    wrapped = JsonLines(plain) if format_ == "json" else MaskedStream(plain)
    sys.stderr = cast("TextIO", wrapped)
    sys.excepthook = _excepthook if format_ == "json" else sys.__excepthook__
    root = logging.getLogger()
    # Libraries warn about parts of theirs that are not installed and not used here.
    root.setLevel(logging.ERROR)
    for handler in [h for h in root.handlers if _writes_to_stderr(h)]:
        root.removeHandler(handler)
    root.addHandler(_SayingHandler())


def _writes_to_stderr(handler: logging.Handler) -> bool:
    """Handlers that go elsewhere, to a file or a test, stay."""
    if isinstance(handler, _SayingHandler):
        return True
    stream = getattr(handler, "stream", None)
    return stream in (sys.stderr, sys.__stderr__, getattr(sys.stderr, "plain", None))


def wanted_format(arguments: Sequence[str], environment: Mapping[str, str]) -> LogFormat:
    """What the command line or the environment asks for, before any command has parsed it.

    Errors in the command line itself are told in this form, too. A wrong value is left to the
    command to refuse.
    """
    given = environment.get(VARIABLE, "")
    for place, argument in enumerate(arguments):
        if argument == OPTION and place + 1 < len(arguments):
            given = arguments[place + 1]
        elif argument.startswith(f"{OPTION}="):
            given = argument.removeprefix(f"{OPTION}=")
    return "json" if given == "json" else "text"


def checked_format(given: str) -> LogFormat:
    """`given`, if it is a format.

    Raises:
        UsageError: it is none.
    """
    for format_ in _FORMATS:
        if given == format_:
            return format_
    raise UsageError(f"{OPTION} '{given}' (or {VARIABLE}) is not one of: {', '.join(_FORMATS)}")


class MaskedStream:
    """stderr without secrets; everything else is as the stream it wraps."""

    def __init__(self, plain: TextIO) -> None:
        self.plain = plain

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, text: str) -> int:
        """Write, masked."""
        self.plain.write(mask(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each; the wrapped stream's own would pass `write` by."""
        for line in lines:
            self.write(line)


class JsonLines(MaskedStream):
    """stderr on which every line is a JSON object, whoever writes it."""

    def __init__(self, plain: TextIO) -> None:
        super().__init__(plain)
        self._begun = ""

    def write(self, text: str) -> int:
        """Take what code that knows nothing of this prints; whole lines become objects."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self.emit(_relayed(line) or _object("stderr", line.rstrip(), "warning", {}))
        return len(text)

    def emit(self, content: Mapping[str, Any]) -> None:
        """Write one object."""
        self.plain.write(f"{_line(masked(content))}\n")  # In one call: threads must not mix theirs.
        self.plain.flush()

    def isatty(self) -> bool:
        """No bars and colours, also on a terminal."""
        return False

    def flush(self) -> None:
        """Write what has no end of line yet; it will get none from a process that ends."""
        if self._begun.strip():
            rest, self._begun = self._begun, ""
            self.emit(_object("stderr", rest.rstrip(), "warning", {}))
        self.plain.flush()


class _SayingHandler(logging.Handler):
    """Log records of libraries as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say the record; with its traceback where it has one."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # A library's slip must not end the job.
            text = f"{record.msg} {record.args!r}"
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        level = record.levelname.lower()
        say("log", f"{_PREFIX}{text}", level=level, logger=record.name, pid=os.getpid())


def _relayed(line: str) -> dict[str, Any] | None:
    """A line of ours that another process wrote, as `submit` follows them; None for another."""
    if not line.startswith('{"time":'):
        return None
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _line(content: object) -> str:
    try:
        return orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # A path that is not UTF-8 (surrogates in it), a number of more than 64 bits.
        text = json.dumps(content, default=str, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def _object(event: str, text: str, level: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    run = told_run()
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = {
        "time": moment.replace("+00:00", "Z"),
        "level": level,
        "event": event,
        "run_id": run.run_id if run else None,
        "job": run.job if run else None,
        "message": text,
    }
    return head | {name: value for name, value in fields.items() if name not in head}


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A defect of ours: one object with the traceback."""
    lines = traceback.format_exception(kind, error, trace)
    say("defect", f"{kind.__name__}: {error}", level="error", traceback="".join(lines))
