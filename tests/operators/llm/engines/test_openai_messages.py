"""What is sent to an endpoint, and how its bodies are read."""

import json

import pytest

from operators.llm.engines.openai_messages import UnreadableError, answer_of, body_of, error_of
from tests.operators.llm.calls import SCHEMA, request
from tests.operators.llm.engines.endpoints import completion, failure, llm_at

URL = "http://127.0.0.1:9/v1"


def sent(structured: str) -> dict:
    return json.loads(body_of(llm_at(URL, structured=structured, seed=7), request("hello")))


def test_a_schema_is_sent_as_the_form_of_the_response():
    body = sent("json_schema")
    form = {"name": "p", "schema": json.loads(SCHEMA), "strict": False}
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Say something."},
            {"role": "user", "content": "hello"},
        ],
        "temperature": 0.0,
        "seed": 7,
        "max_tokens": 64,
        "response_format": {"type": "json_schema", "json_schema": form},
    }


@pytest.mark.parametrize("structured", ["json_object", "none"])
def test_without_schemas_it_stands_in_the_instructions(structured: str):
    body = sent(structured)
    form = {"type": "json_object"} if structured == "json_object" else None
    assert body.get("response_format") == form
    system = body["messages"][0]["content"]
    assert system.startswith("Say something.\n\n")
    assert system.endswith(SCHEMA)


def test_an_answer_is_read_with_its_tokens():
    answer = answer_of(json.dumps(completion("text")).encode(), "id", 1.5)
    assert (answer.call_id, answer.status, answer.text) == ("id", "ok", "text")
    assert (answer.tokens_in, answer.tokens_out, answer.cached_tokens) == (20, 7, 16)
    assert answer.latency_ms == 1.5


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (completion('{"te', "length"), "truncated", '{"te'),
        (completion(None, "length"), "truncated", ""),
        (completion("", "content_filter"), "refused", "the endpoint's filter"),
        (completion(None, "content_filter"), "refused", "the endpoint's filter"),
        (completion(None, refusal="I would rather not"), "refused", "I would rather not"),
        ({"choices": [{"message": {"content": "no usage"}}]}, "ok", "no usage"),
        ({**completion("x"), "usage": None}, "ok", "x"),
    ],
)
def test_every_end_has_its_status(body: dict, status: str, text: str):
    answer = answer_of(json.dumps(body).encode(), "id", 0.0)
    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize(
    "raw",
    [
        *("", "<html>busy</html>", "[]", "{}", '{"choices": []}', '{"choices": [null]}', "null"),
        *('{"choices": {}}', '{"choices": [{"message": {"content": null}}]}', '{"error": "no"}'),
    ],
)
def test_what_is_no_answer_is_said(raw: str):
    with pytest.raises(UnreadableError):
        answer_of(raw.encode(), "id", 0.0)


def test_errors_are_read_in_the_forms_that_servers_use():
    assert error_of(json.dumps(failure("no", code="c", param="p")).encode()) == ("no", "c", "p")
    assert error_of(b'{"object": "error", "message": "too long", "code": 400}')[0] == "too long"
    assert error_of(b'{"detail": "Not Found"}')[0] == "Not Found"
    assert error_of(b'{"error": "plain"}')[0] == "plain"
    assert error_of(b"<html>")[0] == "'<html>'"
    assert error_of(b"")[0] == "(empty)"
