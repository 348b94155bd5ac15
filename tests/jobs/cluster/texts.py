"""Much text in few messages, and a pipeline that does little with it: for what depends on bytes."""

import random
from pathlib import Path

from tests.jobs.builds import Lines

TEXT_BYTES = 48_000


def long_messages(count: int, conversations: int = 100, seed: int = 7) -> Lines:
    """Messages whose texts do not compress well, dealt out to conversations."""
    chance = random.Random(seed)
    return [
        {
            "conversation_id": f"c{number % conversations}",
            "message_id": f"m{seed}-{number}",
            "speaker": "Ana" if number % 2 else "Ben",
            "text": chance.randbytes(TEXT_BYTES // 2).hex(),
            "timestamp": f"2025-01-{1 + number // 100:02}T10:{number % 60:02}:00Z",
        }
        for number in range(count)
    ]


def sessions_only(path: Path, slice_chars: int) -> Path:
    """A pipeline without models."""
    path.write_text(
        "version: 1\nname: sessions_only\nsteps:\n"
        "  - {id: sessions, operator: gap_sessions}\n"
        "  - {id: cells, operator: two_turn_cells}\n"
        f"runtime: {{slice_chars: {slice_chars}}}\n"
    )
    return path
