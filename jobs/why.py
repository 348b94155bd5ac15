"""`memoryflow why ID`: from a memory back to the messages, the model calls and the run.

Works for every id of the warehouse: facts, cells, sessions, episodes, tree nodes, entities,
links, scenes, personas, model calls (`call_...` of language models) and messages.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from rapidfuzz import fuzz, process

from jobs.tenants import check_one_tenant
from jobs.why_rows import ConversationRows, Row, select_rows
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.scope import literal

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
_CALL = "call"  # What ids of language models' calls begin with.
_SUGGESTIONS = 3
_MISTYPED = 80.0  # Percent; two different hashes of a kind have at most some 60.


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
    members: list[Row] = field(default_factory=list)
    scenes: list[Row] = field(default_factory=list)
    personas: list[Row] = field(default_factory=list)
    model_calls: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    run: Row | None = None
    snapshot: Row | None = None

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(asdict(self), default=_json_value, ensure_ascii=False)


def why(
    warehouse: Warehouse,
    memory_id: str,
    *,
    conversation: str | None = None,
    tenant: str | None = None,
) -> list[Explanation]:
    """Explain a memory, once per conversation that has the id; UnknownIdError if none has.

    `conversation` and `tenant` narrow ids that are not unique, such as message ids.

    Raises:
        UnknownIdError: no memory there has it.
        UsageError: no tenant is given, and several have it.
    """
    elsewhere: set[str] = set()
    for kind, (table, column) in _KINDS.items():
        found = select_rows(warehouse, table, f"{quoted(column)} = {literal(memory_id)}", kind=kind)
        if tenant is not None:
            found = [row for row in found if row["tenant"] == tenant]
        elsewhere |= {str(row["conversation_id"]) for row in found}
        if conversation is not None:
            found = [row for row in found if row["conversation_id"] == conversation]
        if found:
            check_one_tenant((row["tenant"] for row in found), f"{kind} {memory_id!r}")
            return [_explain(warehouse, kind, memory_id, row) for row in found]
    if elsewhere:
        raise UnknownIdError(_elsewhere(memory_id, conversation, sorted(elsewhere)))
    raise UnknownIdError(_unknown(warehouse, memory_id, conversation, tenant))


def render(explanations: Sequence[Explanation]) -> str:
    """For people."""
    return "\n\n".join("\n".join(_lines(e)) for e in explanations)


def _explain(warehouse: Warehouse, kind: str, memory_id: str, row: Row) -> Explanation:
    scope = ConversationRows(warehouse, (row["tenant"], row["conversation_id"]))
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
        members=scope.members(row["scene_id"]) if kind == "scene" else [],
        scenes=scope.scenes_of(canonical or memory_id) if kind == "fact" else [],
        personas=scope.personas_of([f["fact_id"] for f in facts]) if kind == "fact" else [],
        model_calls=scope.model_calls(kind, row, texts),
        steps=scope.steps(row),
        run=_run(warehouse, snapshot),
        snapshot=snapshot,
    )


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


def _elsewhere(memory_id: str, conversation: str | None, places: Sequence[str]) -> str:
    more = f" and {len(places) - _SUGGESTIONS:,} more" if len(places) > _SUGGESTIONS else ""
    there = f"{', '.join(map(repr, places[:_SUGGESTIONS]))}{more}"
    return f"{memory_id!r} is not in conversation {conversation!r}; it is in {there}."


def _unknown(
    warehouse: Warehouse, memory_id: str, conversation: str | None, tenant: str | None
) -> str:
    inside = "true" if tenant is None else f"tenant = {literal(tenant)}"
    nearest: list[str] = []
    prefix = memory_id.split("_", 1)[0]
    prefix = "artifact" if prefix == _CALL else prefix
    kinds = [prefix] if prefix in _KINDS else list(_KINDS)
    for kind in kinds:
        table, column = _KINDS[kind]
        query = f"SELECT {quoted(column)} FROM {table} WHERE {inside}"
        ids = sorted({str(row[0]) for row in warehouse.rows(query)})
        nearest += _nearest(memory_id, ids) if kind == "message" else _mistyped(memory_id, ids)
    where = f" in conversation {conversation!r}" if conversation else ""
    where += f" of tenant {tenant!r}" if tenant else ""
    hint = f" Did you mean {', '.join(nearest[:_SUGGESTIONS])}?" if nearest else ""
    heirs = warehouse.rows(
        "SELECT DISTINCT source_id FROM links WHERE target_id = ? "
        f"AND type IN ('split_from', 'merged_from') AND {inside} ORDER BY source_id",
        [memory_id],
    )
    if heirs:  # Former scenes are named by the links of those that came of them.
        hint = f" It was a scene, and lives on in {', '.join(row[0] for row in heirs)}."
    return f"No memory has the id {memory_id!r}{where}.{hint}"


def _nearest(given: str, ids: Sequence[str]) -> list[str]:
    """Ids that people made: what is like it may be meant."""
    return [found[0] for found in process.extract(given, ids, limit=_SUGGESTIONS, score_cutoff=60)]


def _mistyped(given: str, ids: Sequence[str]) -> list[str]:
    """Ids with hashes, of which any two are somewhat alike: one cut off, or a few letters wrong."""
    cut = [known for known in ids if known.startswith(given) and not given.endswith("_")]
    found = process.extract(
        given, ids, scorer=fuzz.ratio, limit=_SUGGESTIONS, score_cutoff=_MISTYPED
    )
    return cut[:_SUGGESTIONS] or [match[0] for match in found]


def _lines(e: Explanation) -> list[str]:
    lines = [f"{e.kind} {e.id}", f"  conversation {e.conversation_id} ({e.tenant})"]
    lines += [f"  {text}" for text in _texts(e)]
    if e.kind == "fact":
        lines.append(
            f"  {e.row['status']}, said {_time(e.row['event_time'])}, valid "
            f"{_time(e.row['valid_from'])} to {_time(e.row['valid_to'])}"
        )
        lines += [f"  doubted: {e.row['doubt']}"] if e.row["doubt"] else []
    lines += _section("said in", [_message_line(m) for m in e.messages])
    for title, row in (("stands for it", e.canonical), ("superseded by", e.superseded_by)):
        lines += _section(title, [_fact_line(row)] if row else [])
    lines += _section("duplicates merged into it", map(_fact_line, e.duplicates))
    lines += _section("supersedes", map(_fact_line, e.supersedes))
    lines += _section("facts from it", map(_fact_line, e.derived))
    lines += _section("members", (f"{_place(m)}{m['memory_id']} {m['text']}" for m in e.members))
    lines += _section("in scenes", (f"{_place(m)}{m['scene_id']} {m['title']}" for m in e.scenes))
    lines += _section("evidence of", (f"{p['persona_id']} {_trait(p)}" for p in e.personas))
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
            f"{a['step']}: {a['model_id']}{_prompt(a)}, {a['tokens_in']} tokens in, "
            f"{a['tokens_out']} out, {a['artifact_id']}"
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


def _texts(e: Explanation) -> list[str]:
    """What a memory says, in one line or two."""
    if e.kind == "persona":
        return [_trait(e.row)]
    names = ("title", "text", "content", "summary", "name", "output")
    return [str(e.row[name]) for name in names if e.row.get(name)]


def _prompt(call: Row) -> str:
    """Prompt of a language model's call, and how it ended unless well."""
    if not call["prompt"]:
        return ""
    status = "" if call["status"] == "ok" else f", {call['status']}"
    return f", prompt {call['prompt']}{status}"


def _trait(persona: Row) -> str:
    return (
        f"{persona['person']}: {persona['attribute']} {persona['value']} ({persona['status']} "
        f"{persona['kind']}, confidence {persona['confidence']}, stability "
        f"{persona['stability']}, {persona['support']} sessions, valid "
        f"{_time(persona['valid_from'])} to {_time(persona['valid_to'])})"
    )


def _place(member: Row) -> str:
    """Weight in a scene, and what reflection has to say."""
    judged = "" if member["status"] == "member" else f", {member['status']}"
    part = f", part {member['part']}" if member["part"] else ""
    reason = f": {member['reason']}" if member["reason"] else ""
    return f"[{member['weight']}{judged}{part}{reason}] "


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


def _json_value(value: object) -> object:
    return _time(value) if isinstance(value, datetime) else str(value)
