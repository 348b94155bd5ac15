"""A stream with a language model ends in the state of one batch run, and asks nothing twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.plan import plan
from tests.jobs.stream.here import (
    HereBuilders,
    append,
    batch_content,
    content_in,
    quick_plan,
    stream_in,
)
from tests.pipelines.llm_engine import Engine
from tests.pipelines.logs import sample
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow

LINES = [message.model_dump_json(exclude_none=True).encode() for message in sample("friends", 70)]


@pytest.mark.parametrize("consolidate", ["every_pane", "session_end"])
def test_stream_equals_batch(tmp_path: Path, consolidate: str) -> None:
    streaming = quick_plan(tmp_path, consolidate=consolidate).streaming
    using = replace(plan("conversation_memory_llm"), streaming=streaming)
    engine, whole = Engine(), Engine()

    class Asking(HereBuilders):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self.models = engine

    log = tmp_path / "logs" / "log.jsonl"
    log.parent.mkdir()
    with open_warehouse(tmp_path / "w", threads=1) as opened:
        for start in range(0, len(LINES), 20):
            append(log, LINES[start : start + 20])
            stream_in(opened, [str(log.parent)], using, 0.2, Asking)
        streamed = content_in(opened)
    assert streamed == batch_content(LINES, using, whole)
    assert len(set(engine.calls)) == len(engine.calls)
    # A session that goes on, and what stands on it, is told anew; the rest is not.
    assert len(engine.calls) < 2 * len(whole.calls)
