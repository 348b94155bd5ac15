"""The plan a command works by: what is said of the model on the command line."""

from pathlib import Path

import pytest

from jobs.commands.load_plan import load_plan
from jobs.errors import UsageError
from operators.llm.spec import OpenAiLlm
from pipelines.plan import plan_spec

URL = "http://127.0.0.1:8000/v1"


def test_the_steps_call_the_endpoint() -> None:
    plan = load_plan("conversation_memory_llm", URL, "big", "MY_KEY")
    llm = plan.step("extract").operator.llm_parts()[""].llm
    assert isinstance(llm, OpenAiLlm)
    assert (llm.url, llm.model, llm.api_key_env) == (URL, "big", "MY_KEY")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("conversation_memory", URL, None, None), "no step of pipeline 'conversation_memory'"),
        (("conversation_memory_llm", None, "big", None), "--llm-model and --llm-key-env"),
        (("conversation_memory_llm", "localhost:8000", None, None), "--llm-url is the address"),
        (("conversation_memory_llm", URL, "big", "sk-secret"), "--llm-key-env is the name of an"),
        (("conversation_memory_llm", "https://me:secret@host/v1", None, None), "holds a user"),
    ],
)
def test_what_does_not_fit(
    options: tuple[str, str | None, str | None, str | None], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        load_plan(*options)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.exit_code == 2


def test_no_password_of_a_pipeline_is_recorded(tmp_path: Path) -> None:
    llm = '{engine: openai, model: m, url: "https://me:secret@host/v1"}'
    steps = (
        "{id: s, operator: gap_sessions, gap: 6h}",
        "{id: c, operator: two_turn_cells, turns: 2, max_chars: 8000}",
        f"{{id: x, operator: llm_facts, llm: {llm}}}",
    )
    text = "version: 1\nname: p\nsteps:\n" + "".join(f"  - {step}\n" for step in steps)
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(text)
    with pytest.raises(UsageError, match="holds a user"):
        load_plan(str(pipeline))
    pipeline.write_text(text.replace("me:secret@", ""))
    assert "https://host/v1" in plan_spec(load_plan(str(pipeline)))
