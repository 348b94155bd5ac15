"""Small invented logs for property tests: few texts, many coincidences."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from hypothesis import strategies as st

from operators.parse.jsonl import parse_jsonl
from schemas.message import Message

SAMPLES = Path(__file__).parents[2] / "samples" / "logs"
START = datetime(2025, 3, 3, 9, tzinfo=UTC)

TEXTS = (
    "I live in Porto now, close to the river.",
    "I moved to Ghent last week.",
    "I have a dog called Biscuit.",
    "I have a dog called Biscuit!",
    "Yesterday I climbed with Marta in Sintra.",
    "We climbed in Sintra with Marta yesterday.",
    "I work at Halden Press as an editor.",
    "I started a new job at Mareva Maps on Monday.",
    "My sister Ana gets married on 13 September 2025.",
    "haha",
    "Thanks!",
    "The launch is on 14 April. Sorry, not the 14th, the 21st.",
    "Do you still drink coffee in the evening?",
    "",
    "Here is a list:\n- bread\n- olives\n- the blue paint for the door",
)

TIMES = st.integers(0, 40).map(lambda hours: START + timedelta(hours=3 * hours))


@st.composite
def messages(draw: st.DrawFn, size: int = 12, least: int = 1) -> list[Message]:
    """Messages of two conversations, with corrections and repeats."""
    count = draw(st.integers(least, size))
    return [draw(one_message()) for _ in range(count)]


@st.composite
def one_message(draw: st.DrawFn) -> Message:
    """One message; ids repeat, so some are corrections of others."""
    return Message(
        conversation_id=draw(st.sampled_from(["walks", "work"])),
        message_id=f"m{draw(st.integers(0, 9))}",
        speaker=draw(st.sampled_from(["Nora", "Tomas"])),
        timestamp=draw(TIMES),
        text=draw(st.sampled_from(TEXTS)),
        revision=draw(st.sampled_from([0, 0, 0, 1])),
        session_id=draw(st.sampled_from([None, None, None, "declared"])),
    )


def parsed(batch: list[Message]) -> pa.Table:
    """The messages as the reader gives them."""
    lines = [message.model_dump_json(exclude_none=True).encode() for message in batch]
    result = parse_jsonl(enumerate(lines, 1), "test")
    assert result.dead_letters.num_rows == 0
    return result.messages


def sample(name: str, count: int) -> list[Message]:
    """The first messages of a bundled log."""
    with (SAMPLES / f"{name}.jsonl").open() as file:
        return [Message.model_validate_json(line) for line in itertools.islice(file, count)]
