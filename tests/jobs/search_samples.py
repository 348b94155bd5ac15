"""A small warehouse to search: two invented conversations, really embedded."""

import json
from pathlib import Path
from typing import Any

from operators.embedding.model_id import MODEL_ID
from operators.embedding.models import embedding_model
from operators.vectors import text_hash
from tests.operators.samples import fact, message, table
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse

TALK = {
    "c1": ["I keep bees behind the mill.", "The bees gave nine jars of honey.", "Rain all day."],
    "c2": ["My telescope has a cracked lens.", "A new lens costs too much."],
}


def search_warehouse(path: Path, *models: str) -> Path:
    """Messages, facts and vectors of TALK, committed to a new warehouse.

    `models`: of each conversation in turn; the last one named also of those that follow.
    """
    rows: dict[str, list[dict[str, Any]]] = {"messages": [], "facts": [], "embeddings": []}
    for number, (conversation, texts) in enumerate(TALK.items()):
        model = embedding_model((models or (MODEL_ID,))[: number + 1][-1]).open()
        for n, text in enumerate(texts):
            scope = {"conversation_id": conversation, "session_id": f"{conversation}/s"}
            rows["messages"].append(message(f"{conversation}/{n}", n, text=text, **scope))
            rows["facts"].append(fact(f"{conversation}/{n}", n, text, **scope))
            rows["embeddings"].append(
                {
                    "tenant": "default",
                    "conversation_id": conversation,
                    "text_hash": text_hash(text),
                    "model_id": model.model_id,
                    "vector": model.embed([text])[0],
                }
            )
    with open_warehouse(path) as warehouse:
        commit(warehouse, [ChangeSet(n, inserts=table(n, r)) for n, r in rows.items()])
    return path


def write_lines(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A JSON Lines file; strings go in as they are."""
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(text) + "\n")
    return path
