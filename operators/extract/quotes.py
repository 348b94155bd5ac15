"""Where a quoted passage stands in a text, though case, spacing or quotation marks differ."""

import re

_PARTS = re.compile(r"[^\W_]+")
_FEWEST_CHARS = 3


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Offsets [start, end) of `quote` in `text`: as it is, else by its words; None if not there.

    By words: case, white space and punctuation between them may differ.
    """
    quote = quote.strip(" \"'“”‘’.…")
    if len(quote) < _FEWEST_CHARS:
        return None
    at = text.find(quote)
    if at >= 0:
        return at, at + len(quote)
    words = _PARTS.findall(quote)
    if not words:
        return None
    pattern = r"[\W_]+".join(re.escape(word) for word in words)
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)
    return found.span() if found else None
