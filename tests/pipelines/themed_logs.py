"""Invented logs with themes that come back over many sessions: what scenes are made of."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from schemas.message import Message

START = datetime(2025, 1, 6, 18, tzinfo=UTC)

THEMES: dict[str, tuple[str, ...]] = {
    "garden": (
        "I planted tomatoes in the garden behind the greenhouse.",
        "The tomatoes in the greenhouse got too much sun.",
        "I water the tomatoes in the garden every morning.",
        "We built a second greenhouse for the tomatoes.",
        "The garden gave us nine kilos of tomatoes this summer.",
        "Snails ate the salad in the garden, not the tomatoes.",
    ),
    "climbing": (
        "I love climbing on the granite walls in Sintra.",
        "Marta and I went climbing in Sintra on Sunday.",
        "I bought a new rope for climbing with Marta.",
        "Climbing in Sintra was slippery after the rain.",
        "Marta broke her wrist while climbing in Sintra.",
        "I go climbing with Marta every Sunday.",
    ),
    "home": (
        "I live in Porto.",
        "My flat in Porto has a balcony over the river.",
        "I moved to Ghent last week.",
        "I live in Ghent now, near the canal.",
        "The flat in Ghent is smaller than the flat in Porto.",
        "My sister Ana lives in Ghent, too.",
    ),
    "work": (
        "I work at Halden Press as an editor.",
        "My boss at Halden Press wants the atlas by April.",
        "I started a new job at Mareva Maps on Monday.",
        "Mareva Maps prints the atlas that I edited at Halden Press.",
        "I don't like meetings at work.",
        "I like the quiet mornings at work.",
    ),
}
TEXTS = tuple(text for theme in THEMES.values() for text in theme)
SMALL_TALK = ("Thanks!", "How are you?", "haha", "")


def told(conversation: str, number: int, day: int, text: str, speaker: str = "Nora") -> Message:
    return Message(
        conversation_id=conversation,
        message_id=f"m{number:03}",
        speaker=speaker,
        timestamp=START + timedelta(days=day, minutes=number % 60),
        text=text,
    )


def story(conversation: str = "walks") -> list[Message]:
    """Every theme over three weeks, a session a day; Tomas answers."""
    out: list[Message] = []
    for day in range(6):
        for theme in THEMES.values():
            out.append(told(conversation, len(out), 4 * day, theme[day]))
            out.append(told(conversation, len(out), 4 * day, SMALL_TALK[day % 4], "Tomas"))
    return out


@st.composite
def themed(draw: st.DrawFn, least: int = 8, most: int = 22) -> list[Message]:
    """Messages of two conversations about few things; some are corrections of others."""
    count = draw(st.integers(least, most))
    return [
        told(
            draw(st.sampled_from(["walks", "walks", "work"])),
            draw(st.integers(0, 40)),
            draw(st.integers(0, 20)),
            draw(st.sampled_from([*TEXTS, "Thanks!"])),
            draw(st.sampled_from(["Nora", "Nora", "Tomas"])),
        )
        for _ in range(count)
    ]
