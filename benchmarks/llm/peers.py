"""What was measured of other systems on the same work, read from a Markdown table."""

from pathlib import Path

from benchmarks.llm.text_table import Row

_COMPARED = ("mem0ai", "langmem", "hindsight", "graphiti", "cognee")
_COLUMNS = {
    "system": "system",
    "calls": "LLM calls",
    "sent / text": "tokens sent (x text)",
    "most at once": "max concurrency",
    "depth / 100": "depth / 100 messages",
    "wall s": "wall",
}


def peers(path: Path) -> list[Row]:
    """Rows of the first table of a file, of the systems that call a language model.

    A file that is not there gives none: the comparison is left out.
    """
    if not path.exists():
        return []
    rows = first_table(path.read_text())
    chosen = [row for row in rows if row["system"].startswith(_COMPARED)]
    return [{ours: row[theirs] for ours, theirs in _COLUMNS.items()} for row in chosen]


def first_table(markdown: str) -> list[dict[str, str]]:
    """The rows of the first table, by title of the column."""
    lines = markdown.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("|")), len(lines))
    table: list[list[str]] = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return [dict(zip(table[0], row, strict=True)) for row in table[2:]]
