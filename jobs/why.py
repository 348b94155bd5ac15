"""`memoryflow why ID`: from a memory back to the messages, the model calls and the run.

Works for every id of the warehouse: facts, cells, sessions, episodes, tree nodes, entities,
links, scenes, personas, artifacts and messages.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from rapidfuzz import process

from schemas.ids import content_hash
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.scope import Conversation, literal

Row = dict[str, Any]

# Kind of memory: its table and the column with its id.
_KINDS: dict[str, tuple[str, str]] = {
    "fact": ("facts", "fact_id"),
    "cell": ("cells", "cell_id"),
    "session": ("sessions", "session_id"),
    "episode": ("episodes", "episode_id"),
    "node": ("memtree_nodes", "node_id"),
    "entity": ("entities", "entity_id"),
    "link": ("links", "link_id"),
    "scene": ("scenes", "scene_id"),
    "persona": ("personas", "persona_id"),
    "artifact": ("artifacts", "artifact_id"),
    "message": ("messages", "message_id"),
}
_SUGGESTIONS = 3


class UnknownIdError(Exception):
    """No memory has the id; the message names the nearest ids."""


@dataclass(frozen=True)
class Explanation:
    """Why one memory is as it is; an id of several conversations has one for each."""

    kind: str
    id: str
    tenant: str
    conversation_id: str
    row: Row
    messages: list[Row]
    duplicates: list[Row] = field(default_factory=list)
    canonical: Row | None = None
    superseded_by: Row | None = None
    supersedes: list[Row] = field(default_factory=list)
    links: list[Row] = field(default_factory=list)
    derived: list[Row] = field(default_factory=list)
    model_calls: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    run: Row | None = None
    snapshot: Row | None = None

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(asdict(self), default=_json_value, ensure_ascii=False)


def why(
    warehouse: Warehouse, memory_id: str, *, conversation: str | None = None
) -> list[Explanation]:
    """Explain a memory, once per conversation that has the id; UnknownIdError if none has.

    `conversation` narrows ids that are not unique, such as message ids.
    """
    for kind, (table, column) in _KINDS.items():
        found = _select(warehouse, table, f"{quoted(column)} = {literal(memory_id)}", kind=kind)
        if conversation is not None:
            found = [row for row in found if row["conversation_id"] == conversation]
        if found:
            return [_explain(warehouse, kind, memory_id, row) for row in found]
    raise UnknownIdError(_unknown(warehouse, memory_id, conversation))


def render(explanations: Sequence[Explanation]) -> str:
    """For people."""
    return "\n\n".join("\n".join(_lines(e)) for e in explanations)


def _explain(warehouse: Warehouse, kind: str, memory_id: str, row: Row) -> Explanation:
    scope = _Scope(warehouse, (row["tenant"], row["conversation_id"]))
    facts = scope.facts_of(kind, row)
    canonical = row.get("canonical_id") if kind == "fact" else None
    by = row.get("superseded_by") if kind == "fact" else None
    texts = [str(f["text"]) for f in facts] if kind == "fact" else []
    snapshot = _snapshot(warehouse, row.pop("__snapshot"))
    return Explanation(
        kind=kind,
        id=memory_id,
        tenant=row["tenant"],
        conversation_id=row["conversation_id"],
        row=row,
        messages=scope.messages_of(kind, row, facts),
        duplicates=[f for f in facts if f["canonical_id"] == memory_id] if kind == "fact" else [],
        canonical=scope.one("facts", "fact_id", canonical),
        superseded_by=scope.one("facts", "fact_id", by),
        supersedes=scope.facts(f"superseded_by = {literal(memory_id)}"),
        links=scope.select(
            "links", f"source_id = {literal(memory_id)} OR target_id = {literal(memory_id)}"
        ),
        derived=facts if kind in ("message", "cell", "session") else [],
        model_calls=scope.model_calls(kind, row, texts),
        steps=scope.steps(row),
        run=_run(warehouse, snapshot),
        snapshot=snapshot,
    )


class _Scope:
    """Queries inside one conversation."""

    def __init__(self, warehouse: Warehouse, conversation: Conversation) -> None:
        self._warehouse = warehouse
        tenant, conversation_id = conversation
        self._where = f"tenant = {literal(tenant)} AND conversation_id = {literal(conversation_id)}"

    def select(self, table: str, condition: str) -> list[Row]:
        return _select(self._warehouse, table, f"{self._where} AND ({condition})")

    def one(self, table: str, column: str, value: str | None) -> Row | None:
        if value is None:
            return None
        rows = self.select(table, f"{quoted(column)} = {literal(value)}")
        return rows[0] if rows else None

    def facts(self, condition: str) -> list[Row]:
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
            "link": lambda: self._with_duplicates([row["source_id"], row["target_id"]]),
            "scene": lambda: self._with_duplicates(self._members(row["scene_id"])),
            "persona": lambda: self._with_duplicates(row["evidence"]),
            "artifact": lambda: self._with_text_hash(row["input_hash"]),
            "message": lambda: self.facts(
                f"list_contains(source_message_ids, {literal(row['message_id'])})"
            ),
        }
        return find[kind]() if kind in find else []

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
            found = self.select("messages", f"is_current AND message_id IN {_in(ids)}")
        found.sort(key=lambda m: (m["timestamp"], m["seq"], m["message_id"]))
        return [_said(m, facts) for m in found]

    def model_calls(self, kind: str, row: Row, texts: Iterable[str]) -> list[Row]:
        """Recorded calls whose input was the text of this memory."""
        if kind == "artifact":
            return [row]
        hashes = {content_hash("text", text) for text in texts}
        if kind in ("cell", "message", "node"):
            hashes.add(content_hash("text", row.get("text") or row.get("summary") or ""))
        return self.select("artifacts", f"input_hash IN {_in(hashes)}")

    def steps(self, row: Row) -> list[Row]:
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

    def _members(self, scene_id: str) -> list[str]:
        rows = self.select("scene_members", f"scene_id = {literal(scene_id)}")
        return [row["memory_id"] for row in rows]

    def _with_text_hash(self, input_hash: str) -> list[Row]:
        return [f for f in self.facts("true") if content_hash("text", f["text"]) == input_hash]


def _select(
    warehouse: Warehouse, table: str, condition: str, *, kind: str | None = None
) -> list[Row]:
    extra = ", snapshot_id AS __snapshot" if kind else ""
    sql = f"SELECT *{extra} FROM {quoted(table)} WHERE {condition}"
    rows = warehouse.query(sql).to_pylist()
    if kind == "message":  # one explanation of a message, from the version that counts
        current = [row for row in rows if row["is_current"]]
        return current or rows[:1]
    return rows


def _said(message: Row, facts: Iterable[Row]) -> Row:
    spans = [
        [fact["span_start"], fact["span_end"]]
        for fact in facts
        if fact["message_id"] == message["message_id"]
    ]
    names = ("message_id", "speaker", "timestamp", "text", "revision", "is_current")
    return {**{name: message[name] for name in names}, "spans": spans}


def _snapshot(warehouse: Warehouse, snapshot_id: int) -> Row | None:
    """The commit that wrote the row, if it has not been expired."""
    found = warehouse.rows(
        f"SELECT snapshot_time FROM ducklake_snapshots('{LAKE}') WHERE snapshot_id = ?",
        [snapshot_id],
    )
    return {"snapshot_id": snapshot_id, "time": found[0][0] if found else None}


def _run(warehouse: Warehouse, snapshot: Row | None) -> Row | None:
    """The run under way at the commit; without the commit's time, the last run."""
    time = snapshot["time"] if snapshot else None
    rows = warehouse.query("SELECT * FROM runs ORDER BY started_at DESC").to_pylist()
    started = [row for row in rows if time is None or row["started_at"] <= time]
    found = (started or rows)[:1]
    return found[0] if found else None


def _unknown(warehouse: Warehouse, memory_id: str, conversation: str | None) -> str:
    ids: set[str] = set()
    prefix = memory_id.split("_", 1)[0]
    kinds = [prefix] if prefix in _KINDS else list(_KINDS)
    for kind in kinds:
        table, column = _KINDS[kind]
        ids.update(row[0] for row in warehouse.rows(f"SELECT {quoted(column)} FROM {table}"))
    where = f" in conversation {conversation!r}" if conversation else ""
    nearest = [m[0] for m in process.extract(memory_id, ids, limit=_SUGGESTIONS, score_cutoff=60)]
    hint = f" Did you mean {', '.join(nearest)}?" if nearest else ""
    return f"No memory has the id {memory_id!r}{where}.{hint}"


def _lines(e: Explanation) -> list[str]:
    text = e.row.get("text") or e.row.get("summary") or e.row.get("name") or ""
    lines = [f"{e.kind} {e.id}", f"  conversation {e.conversation_id} ({e.tenant})"]
    lines += [f"  {text}"] if text else []
    if e.kind == "fact":
        lines.append(
            f"  {e.row['status']}, said {_time(e.row['event_time'])}, valid "
            f"{_time(e.row['valid_from'])} to {_time(e.row['valid_to'])}"
        )
    lines += _section("said in", [_message_line(m) for m in e.messages])
    for title, row in (("stands for it", e.canonical), ("superseded by", e.superseded_by)):
        lines += _section(title, [_fact_line(row)] if row else [])
    lines += _section("duplicates merged into it", map(_fact_line, e.duplicates))
    lines += _section("supersedes", map(_fact_line, e.supersedes))
    lines += _section("facts from it", map(_fact_line, e.derived))
    lines += _section(
        "links",
        (
            f"{k['type']} {k['source_id']} -> {k['target_id']} ({k['method']} {k['score']})"
            for k in e.links
        ),
    )
    lines += _section(
        "model calls",
        (
            f"{a['step']}: {a['model_id']}, {a['tokens_in']} tokens in, {a['tokens_out']} out, "
            f"{a['artifact_id']}"
            for a in e.model_calls
        ),
    )
    lines += _section("computed by", (f"{s['step']} {s['stamp']}" for s in e.steps))
    if e.run:
        lines += _section(
            "run", [f"{e.run['run_id']} {e.run['pipeline']} at {_time(e.run['started_at'])}"]
        )
    if e.snapshot:
        lines += _section(
            "commit", [f"snapshot {e.snapshot['snapshot_id']} at {_time(e.snapshot['time'])}"]
        )
    return lines


def _section(title: str, items: Iterable[str]) -> list[str]:
    listed = [f"    {item}" for item in items]
    return [f"  {title}:", *listed] if listed else []


def _message_line(message: Row) -> str:
    spans = ", ".join(f"{start}-{end}" for start, end in message["spans"])
    where = f" [characters {spans}]" if spans else ""
    old = "" if message["is_current"] else " (replaced)"
    return (
        f"{message['message_id']} {_time(message['timestamp'])} {message['speaker']}: "
        f"{message['text']}{where}{old}"
    )


def _fact_line(fact: Row) -> str:
    return f"{fact['fact_id']} {_time(fact['event_time'])} {fact['text']}"


def _time(value: datetime | None) -> str:
    return value.isoformat().replace("+00:00", "Z") if value else "-"


def _in(values: Iterable[str]) -> str:
    """An SQL list; of nothing, one that nothing is in."""
    listed = ", ".join(literal(value) for value in sorted(set(values)))
    return f"({listed or 'NULL'})"


def _json_value(value: object) -> object:
    return _time(value) if isinstance(value, datetime) else str(value)
