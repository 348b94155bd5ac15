"""Word lists of `operators/data`: they are code, so raise `RuleFacts.VERSION` when one changes."""

from pathlib import Path

_DATA = Path(__file__).resolve().parent.parent / "data"


def load_words(name: str) -> frozenset[str]:
    """The words of a list; lines that begin with # are comments."""
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
