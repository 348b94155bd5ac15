"""Lines on stderr: text as ever, or one JSON object each, and no secrets in either."""

import io
import json
import logging
import sys

import pytest

from jobs.errors import UsageError
from jobs.observe.current import at_run, current_run
from jobs.observe.logs import (
    JsonLines,
    MaskedStream,
    checked_format,
    install,
    note,
    say,
    wanted_format,
)
from jobs.observe.secrets import secrets_of


class Stderr(io.StringIO):
    """What reaches the real stderr, from `install` on."""

    def __init__(self, monkeypatch):
        super().__init__()
        self._monkeypatch = monkeypatch

    def install(self, format_):
        # In the test itself: pytest has a stderr of its own for each phase.
        self._monkeypatch.setattr(sys, "stderr", self)
        install(format_)


@pytest.fixture
def stderr(monkeypatch):
    """The process's own logging is put back afterwards."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    handlers, level = logging.root.handlers[:], logging.root.level
    with at_run("test"):  # And no run has failed just now.
        pass
    yield Stderr(monkeypatch)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def objects(stderr):
    return [json.loads(line) for line in stderr.getvalue().splitlines()]


def test_text_is_as_it_was(stderr):
    stderr.install("text")
    say("commit.written", "commit 1: snapshot 7", number=1)
    note("slice.done", messages=3)

    assert stderr.getvalue() == "commit 1: snapshot 7\n"


def test_every_line_is_an_object_of_the_run(stderr):
    stderr.install("json")
    with at_run("run") as run:
        say("read.done", "memoryflow: 3 messages read", messages=3)
        note("slice.done", level="info", milliseconds=5)
        print("a library says\ntwo lines", file=sys.stderr)
        logging.getLogger("somebody").error("it is %s", "broken")
    say("later", "after it")

    found = objects(stderr)
    assert {o["run_id"] for o in found[:-1]} == {run.run_id}
    assert found[-1]["run_id"] is None
    for line in found:
        assert list(line)[:6] == ["time", "level", "event", "run_id", "job", "message"]
        assert line["time"].endswith("Z")
    assert (found[0]["message"], found[0]["messages"]) == ("3 messages read", 3)
    assert found[1]["milliseconds"] == 5
    assert [o["message"] for o in found[2:4]] == ["a library says", "two lines"]
    (logged,) = [o for o in found if o["event"] == "log"]
    assert (logged["message"], logged["level"]) == ("it is broken", "error")


def test_a_defect_is_one_object(stderr):
    stderr.install("json")
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    (line,) = objects(stderr)
    assert (line["event"], line["level"]) == ("defect", "error")
    assert "test_logs.py" in line["traceback"]


def test_the_error_that_ends_a_run_is_of_the_run(stderr):
    stderr.install("json")
    with pytest.raises(ValueError, match="oh"), at_run("run") as failed:
        raise ValueError("oh")
    say("command.failed", "oh")
    with at_run("stream"):
        pass
    say("later", "after another")

    assert [o["run_id"] for o in objects(stderr)] == [failed.run_id, None]
    assert current_run() is None


def test_fields_do_not_replace_the_head(stderr):
    stderr.install("json")
    say("x", "text", job="mine", other=1)

    (line,) = objects(stderr)
    assert (line["job"], line["other"]) == (None, 1)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_secrets_of_the_environment_never_appear(stderr, monkeypatch, format_):
    secret = 'sk-"quoted"/1234567'
    monkeypatch.setenv("ACME_API_KEY", secret)
    monkeypatch.setenv("PGPASSWORD", "correct horse")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    stderr.install(format_)

    say("failed", f"no answer for {secret}", headers={"auth": [f"Bearer {secret}"]})
    say("url", "http://x/?key=sk-%22quoted%22%2F1234567&p=correct horse abc")
    print(f"a library prints {secret}", file=sys.stderr)
    logging.getLogger("lib").error("with %s", secret)

    out = stderr.getvalue()
    for part in ("1234567", "correct horse"):
        assert part not in out
    assert out.count("***") >= 4
    assert "abc" in out


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(("LLM_KEY", True), ("OPENAI_APIKEY", True), ("REDIS_PW", True), ("DB_PASS", True)),
        *(("HF_TOKEN", True), ("OLDPWD", False), ("COMPASS", False)),
    ],
)
def test_names_of_secrets(name, secret):
    assert bool(secrets_of({name: "a longer value"})) is secret


def test_what_cannot_be_json_is_a_line_all_the_same(stderr):
    """A file name that is not UTF-8, and a number of more than 64 bits."""
    stderr.install("json")
    say("command.failed", "no file bad\udcff.jsonl", number=2**70)
    print("a library says bad\udcff", file=sys.stderr)

    told, printed = objects(stderr)
    assert (told["message"], told["number"]) == ("no file bad?.jsonl", 2**70)
    assert printed["message"] == "a library says bad?"


def test_a_wrong_log_record_of_a_library_ends_nothing(stderr):
    stderr.install("json")
    logging.root.handlers[:] = logging.root.handlers[-1:]  # pytest's own would raise.
    logging.getLogger("somebody").error("%d calls", "many")

    (line,) = objects(stderr)
    assert line["message"] == "%d calls ('many',)"


@pytest.mark.parametrize("format_", ["text", "json"])
def test_lines_written_together_are_masked_too(stderr, monkeypatch, format_):
    monkeypatch.setenv("ACME_API_KEY", "sk-123456789")
    stderr.install(format_)
    sys.stderr.writelines(["with sk-123456789\n", "and more\n"])

    assert "sk-123456789" not in stderr.getvalue()
    if format_ == "json":
        assert [line["message"] for line in objects(stderr)] == ["with ***", "and more"]


def test_a_bar_is_not_drawn_among_objects(stderr):
    stderr.install("json")
    assert isinstance(sys.stderr, JsonLines)
    assert not sys.stderr.isatty()


def test_installing_again_wraps_once(stderr):
    stderr.install("json")
    install("text")
    install("json")

    assert isinstance(sys.stderr, MaskedStream)
    assert sys.stderr.plain is stderr


def test_lines_of_another_run_are_passed_on(stderr):
    stderr.install("json")
    ours = '{"time":"2024-01-01T00:00:00.000Z","level":"info","event":"x","run_id":"far"}'
    print(ours, file=sys.stderr)
    print(ours[:-1], file=sys.stderr)

    far, cut = objects(stderr)
    assert far["run_id"] == "far"
    assert (cut["event"], cut["message"]) == ("stderr", ours[:-1])


def test_what_has_no_end_of_line_comes_out_when_flushed(stderr):
    stderr.install("json")
    sys.stderr.write("half a ")
    sys.stderr.write("line")
    assert stderr.getvalue() == ""
    sys.stderr.flush()

    assert [o["message"] for o in objects(stderr)] == ["half a line"]


@pytest.mark.parametrize(
    ("arguments", "variable", "wanted"),
    [
        (["run", "p"], None, "text"),
        (["run", "--log-format", "json"], None, "json"),
        (["run", "--log-format=json"], None, "json"),
        (["run"], "json", "json"),
        (["run", "--log-format", "text"], "json", "text"),
        (["run", "--log-format"], None, "text"),
    ],
)
def test_the_format_is_known_before_the_command_line_is(arguments, variable, wanted):
    environment = {} if variable is None else {"MEMORYFLOW_LOG_FORMAT": variable}
    assert wanted_format(arguments, environment) == wanted


def test_another_format_is_refused():
    assert checked_format("json") == "json"
    with pytest.raises(UsageError, match="xml"):
        checked_format("xml")
