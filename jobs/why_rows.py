"""What `memoryflow why` reads of one conversation: a memory, and what it rests on."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from schemas.ids import content_hash
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import Conversation, literal

Row = dict[str, Any]

# Prompts by which a language model tells a kind of memory.
_PROMPTS: dict[str, str] = {
    "fact": "extract_facts",
    "episode": "retell_session",
    "link": "judge_pairs",
    "scene": "tell_scene",
    "persona": "read_personas",
    "node": "summarise_node",
}
_DOUBTS = "reflect"
_MAKERS = ("extractor", "made_by", "summarizer", "method")
_BY_MODEL = frozenset({"llm", "model"})
_WORDS = ("text", "title", "content", "summary", "value")
"""Columns that hold a model's words as it wrote them, as a rule."""


class ConversationRows:
    """Queries inside one conversation."""

    def __init__(self, warehouse: Warehouse, conversation: Conversation) -> None:
        self._warehouse = warehouse
        tenant, conversation_id = conversation
        self._where = f"tenant = {literal(tenant)} AND conversation_id = {literal(conversation_id)}"

    def select(self, table: str, condition: str) -> list[Row]:
        """Rows of the conversation."""
        return select_rows(self._warehouse, table, f"{self._where} AND ({condition})")

    def one(self, table: str, column: str, value: str | None) -> Row | None:
        """The row with this value, if there is one."""
        if value is None:
            return None
        rows = self.select(table, f"{quoted(column)} = {literal(value)}")
        return rows[0] if rows else None

    def facts(self, condition: str) -> list[Row]:
        """Facts in event order."""
        found = self.select("facts", condition)
        return sorted(
            found, key=lambda f: (f["event_time"], f["seq"], f["message_id"], f["ordinal"])
        )

    def facts_of(self, kind: str, row: Row) -> list[Row]:
        """Facts that a memory rests on, or, of messages and their groups, that rest on it."""
        find: dict[str, Callable[[], list[Row]]] = {
            "fact": lambda: self._with_duplicates([row["fact_id"]]),
            "cell": lambda: self.facts(f"cell_id = {literal(row['cell_id'])}"),
            "session": lambda: self.facts(f"session_id = {literal(row['session_id'])}"),
            "node": lambda: self._with_duplicates(self._leaves(row)),
            "entity": lambda: self._with_duplicates(self._mentioning(row["entity_id"])),
            "link": lambda: self._with_duplicates(self._at_ends(row)),
            "scene": lambda: self._with_duplicates(self._members_of([row["scene_id"]])),
            "persona": lambda: self._with_duplicates(row["evidence"]),
            "artifact": lambda: self._of_call(row),
            "message": lambda: self.facts(
                f"list_contains(source_message_ids, {literal(row['message_id'])})"
            ),
        }
        return find[kind]() if kind in find else []

    def members(self, scene_id: str) -> list[Row]:
        """Members of a scene in event order, with their texts."""
        found = self.select("scene_members", f"scene_id = {literal(scene_id)}")
        rows = {row["memory_id"]: row for row in found}
        facts = self.facts(f"fact_id IN {_in(rows)}")
        return [_member(rows[fact["fact_id"]], "text", fact["text"]) for fact in facts]

    def scenes_of(self, fact_id: str) -> list[Row]:
        """Scenes of a fact, with its place in them."""
        rows = self.select("scene_members", f"memory_id = {literal(fact_id)}")
        titles = {
            scene["scene_id"]: scene["title"]
            for scene in self.select("scenes", f"scene_id IN {_in(r['scene_id'] for r in rows)}")
        }
        return [_member(row, "title", titles.get(row["scene_id"])) for row in rows]

    def personas_of(self, fact_ids: Iterable[str]) -> list[Row]:
        """What facts are evidence of."""
        listed = ", ".join(literal(fact_id) for fact_id in sorted(set(fact_ids)))
        found = self.select("personas", f"list_has_any(evidence, [{listed}])")
        return sorted(found, key=lambda p: (p["person"], p["attribute"], p["persona_id"]))

    def messages_of(self, kind: str, row: Row, facts: Sequence[Row]) -> list[Row]:
        """Messages of a memory with the span each fact rests on, in event order."""
        if kind == "message":
            versions = self.select("messages", f"message_id = {literal(row['message_id'])}")
            return [_said(m, []) for m in versions]
        if kind == "session":
            found = self.select("messages", f"session_id = {literal(row['session_id'])}")
        else:
            ids = set(row.get("message_ids") or row.get("source_message_ids") or ())
            if kind != "cell":
                ids.update(i for fact in facts for i in fact["source_message_ids"])
            condition = f"message_id IN {_in(ids)}"
            if kind == "artifact" and not ids and row["session_id"]:
                condition = f"session_id = {literal(row['session_id'])}"
            if kind == "link":  # Sessions are linked, too.
                condition += f" OR session_id IN {_in([row['source_id'], row['target_id']])}"
            found = self.select("messages", f"is_current AND ({condition})")
        found.sort(key=lambda m: (m["timestamp"], m["seq"], m["message_id"]))
        return [_said(m, facts) for m in found]

    def model_calls(self, kind: str, row: Row, texts: Iterable[str]) -> list[Row]:
        """Recorded calls whose input was the text of this memory, or that told it.

        A memory holds no id of a call: model text enters no id, and the rules may have the last
        word on it. So a language model's calls are found by what they answered: those of the
        prompt and session whose answer holds the memory's words, or all of that prompt and
        session where none does word by word.
        """
        if kind == "artifact":
            return [row]
        hashes = {content_hash("text", text) for text in texts}
        if kind in ("cell", "message", "node"):
            hashes.add(content_hash("text", row.get("text") or row.get("summary") or ""))
        embedded = self.select("artifacts", f"input_hash IN {_in(hashes)} AND output IS NULL")
        doubts = self._calls(_DOUBTS, "") if row.get("doubt") or kind == "scene" else []
        return [*embedded, *self._told_by(kind, row), *doubts]

    def _told_by(self, kind: str, row: Row) -> list[Row]:
        made_by = str(next((row[name] for name in _MAKERS if row.get(name)), ""))
        if kind not in _PROMPTS or made_by.removesuffix("_facts") not in _BY_MODEL:
            return []  # By rules alone, or they stand in for what the model said.
        session = row.get("session_id") or ""
        if kind == "link":  # Pairs are asked about with the session of the later fact.
            later = self.one("facts", "fact_id", row["source_id"])
            session = later["session_id"] if later else ""
        calls = self._calls(_PROMPTS[kind], session)
        words = [str(row[name]) for name in _WORDS if row.get(name)]
        exact = [call for call in calls if any(_holds(call["output"], word) for word in words)]
        return exact or calls

    def _calls(self, prompt: str, session: str) -> list[Row]:
        """Calls of a language model by a prompt; for a session, if one is named."""
        where = f"output IS NOT NULL AND starts_with(prompt, {literal(f'{prompt}@')})"
        if session:
            where += f" AND session_id = {literal(session)}"
        found = self.select("artifacts", where)
        return sorted(found, key=lambda call: (call["session_id"], call["artifact_id"]))

    def steps(self, row: Row) -> list[Row]:
        """Stamps of the steps that computed a row."""
        keys = {"", row.get("session_id") or ""}
        found = self.select("stamps", f"key IN {_in(keys)}")
        return sorted(found, key=lambda s: (s["step"], s["key"]))

    def _with_duplicates(self, fact_ids: Iterable[str]) -> list[Row]:
        ids = _in(fact_ids)
        return self.facts(f"fact_id IN {ids} OR canonical_id IN {ids}")

    def _leaves(self, node: Row) -> list[str]:
        nodes = self.select("memtree_nodes", f"tree_id = {literal(node['tree_id'])}")
        by_id = {n["node_id"]: n for n in nodes}
        leaves: list[str] = []
        pending = [node["node_id"]]
        while pending:
            current = by_id.get(pending.pop())
            if current is None:
                continue
            leaves.extend(current["fact_ids"])
            if current["level"] > 1:
                pending.extend(current["child_ids"])
        return leaves

    def _mentioning(self, entity_id: str) -> list[str]:
        rows = self.select("mentions", f"entity_id = {literal(entity_id)}")
        return [row["fact_id"] for row in rows]

    def _members_of(self, scene_ids: Iterable[str]) -> list[str]:
        rows = self.select("scene_members", f"scene_id IN {_in(scene_ids)}")
        return [row["memory_id"] for row in rows]

    def _at_ends(self, link: Row) -> list[str]:
        ends = [link["source_id"], link["target_id"]]
        return [*ends, *self._members_of(ends)]

    def _of_call(self, call: Row) -> list[Row]:
        """Facts whose text a call embedded, or that a language model told in its answer."""
        output = call["output"]
        if output is None:
            hashed = call["input_hash"]
            return [f for f in self.facts("true") if content_hash("text", f["text"]) == hashed]
        where = f"session_id = {literal(call['session_id'])}" if call["session_id"] else "true"
        return [fact for fact in self.facts(where) if _holds(output, fact["text"])]


def select_rows(
    warehouse: Warehouse, table: str, condition: str, *, kind: str | None = None
) -> list[Row]:
    """Rows of a table; with `kind` as what `why` was asked for, each with its snapshot."""
    extra = ", snapshot_id AS __snapshot" if kind else ""
    sql = f"SELECT *{extra} FROM {quoted(table)} WHERE {condition}"
    rows = warehouse.query(sql).to_pylist()
    if kind == "message":  # one explanation of a message, from the version that counts
        current = [row for row in rows if row["is_current"]]
        return current or rows[:1]
    return rows


def _member(row: Row, name: str, value: str | None) -> Row:
    names = ("scene_id", "memory_id", "weight", "status", "part", "reason")
    return {**{n: row[n] for n in names}, name: value}


def _said(message: Row, facts: Iterable[Row]) -> Row:
    spans = [
        [fact["span_start"], fact["span_end"]]
        for fact in facts
        if fact["message_id"] == message["message_id"]
    ]
    names = ("message_id", "speaker", "timestamp", "text", "revision", "is_current")
    return {**{name: message[name] for name in names}, "spans": spans}


def _holds(output: str, words: str) -> bool:
    """Whether an answer says these words; it is JSON, in whatever escapes."""
    said = [words, json.dumps(words)[1:-1], json.dumps(words, ensure_ascii=False)[1:-1]]
    return any(part in output for part in said)


def _in(values: Iterable[str]) -> str:
    """An SQL list; of nothing, one that nothing is in."""
    listed = ", ".join(literal(value) for value in sorted(set(values)))
    return f"({listed or 'NULL'})"
