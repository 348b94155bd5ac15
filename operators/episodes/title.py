"""Titles from people and keywords: "Nora and Ben: flat, pottery class"."""

from collections.abc import Sequence

_ROLES = frozenset(
    ("user", "human", "assistant", "ai", "bot", "model", "chatgpt", "system", "tool")
)
_MOST_PEOPLE = 3
_CUT = "…"


def title(people: Sequence[str], topics: Sequence[str], fallback: str, max_chars: int) -> str:
    """People, then as many topics as fit; without any topic the beginning of `fallback`.

    `people` in order of importance; those that are no names (user, assistant) are left out.
    """
    who = _who([name for name in people if name.casefold() not in _ROLES])
    head = f"{who}: " if who else ""
    what = ""
    for topic in topics:
        longer = f"{what}, {topic}" if what else topic
        if what and len(head) + len(longer) > max_chars:
            break
        what = longer
    if not what:
        what = fallback.removeprefix(head) if head else fallback
    line = head + what if head else what[:1].upper() + what[1:]
    return shortened(line, max_chars)


def shortened(text: str, max_chars: int) -> str:
    """The text, cut between words where it is too long."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars - 1]
    return (head.rpartition(" ")[0] or head).rstrip(" ,;:") + _CUT


def _who(names: Sequence[str]) -> str:
    if len(names) > _MOST_PEOPLE:
        others = len(names) - (_MOST_PEOPLE - 1)
        return f"{', '.join(names[: _MOST_PEOPLE - 1])} and {others} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
