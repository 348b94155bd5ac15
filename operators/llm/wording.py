"""Words on their way to a model and back."""

from collections.abc import Iterable

from operators.episodes.title import shortened


def one_line(text: str, max_chars: int) -> str:
    """The text without line breaks, so that no text can pass for several numbered lines."""
    return shortened(" ".join(text.split()), max_chars)


def distinct(texts: Iterable[str]) -> list[str]:
    """What is not empty, spaces set right; of texts that differ in case only, the first."""
    found: dict[str, str] = {}
    for text in texts:
        if tidy := " ".join(text.split()):
            found.setdefault(tidy.casefold(), tidy)
    return list(found.values())
