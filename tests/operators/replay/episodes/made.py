"""An invented conversation: sessions on shuffled themes, a fact for most messages."""

import random
from typing import Any

import pyarrow as pa

from operators.gap_sessions import GapSessions
from operators.replay.episodes.find_episodes import find_episodes
from operators.replay.spec import EpisodeSpec
from tests.operators.samples import HashModels, embeddings, fact, message, shuffled, table

THEMES = ("garden soil seeds", "violin concert string", "harbour boat tide", "oven bread flour")
SMALL = EpisodeSpec(window=3, clusters=3, anchors=8, era=10, max_chars=1_000, patch_windows=2)


def session_rows(number: int, seed: int) -> list[dict[str, Any]]:
    """Messages of session `number`: a function of both numbers alone."""
    rng = random.Random(f"{seed}/{number}")
    return [
        message(
            f"s{number}m{place}",
            number * 1_440 + place // 2,  # Ties, which seq decides.
            rng.choice(["Ann", "Ben"]),
            f"{rng.choice(THEMES)} {rng.choice(THEMES)} {rng.randrange(99)}",
            seq=place,
            given_session_id=f"session {number}",
        )
        for place in range(rng.randrange(1, 16))
    ]


def tables(rows: list[dict[str, Any]], seed: int | None = None) -> tuple[pa.Table, ...]:
    """Messages with sessions, facts and embeddings; rows in another order for a seed."""
    made = GapSessions().run({"messages": table("messages", rows)}, HashModels()).tables
    messages = made["messages"]
    facts = table(
        "facts",
        [
            fact(row["message_id"], 0, row["text"], session_id=row["session_id"])
            for row in messages.to_pylist()
            if row["is_current"] and not row["text"].endswith(("1", "5", "9"))
        ],
    )
    found = (messages, facts, embeddings(facts))
    return found if seed is None else tuple(shuffled(data, seed) for data in found)


def episodes(rows: list[dict[str, Any]], spec: EpisodeSpec = SMALL, seed: int | None = None):
    messages, facts, vectors = tables(rows, seed)
    return find_episodes(messages, facts, vectors, spec)


def log(sessions: int, seed: int) -> list[dict[str, Any]]:
    return [row for number in range(sessions) for row in session_rows(number, seed)]
