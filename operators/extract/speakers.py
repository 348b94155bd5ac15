"""How speakers are called in statements: roles of a chat in one spelling, names as they are."""

ROLES = {
    "user": "User", "human": "User", "assistant": "Assistant", "ai": "Assistant",
    "bot": "Assistant", "model": "Assistant", "chatgpt": "Assistant", "system": "System",
}  # fmt: skip


def called(speaker: str) -> str:
    """The name that statements use for a speaker."""
    return ROLES.get(speaker.lower(), speaker)
