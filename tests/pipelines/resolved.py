"""Every memory refers to what is there: the check, over all tables of a warehouse."""

from collections.abc import Iterable, Mapping

from operators.vectors import text_hash

Row = Mapping[str, object]
Rows = Mapping[str, Iterable[Row]]

LINEAGE = frozenset({"split_from", "merged_from"})
JUDGED = {"demoted", "apart"}


def assert_resolved(rows: Rows) -> None:
    """Raises AssertionError with the row that refers to nothing."""
    tables = {name: list(found) for name, found in rows.items()}
    _assert_facts(tables)
    _assert_verdicts(tables)
    _assert_index(tables)
    _assert_links(tables)
    _assert_scenes(tables)
    _assert_personas_and_episodes(tables)


def _ids(rows: Iterable[Row], column: str) -> set[tuple[object, object, object]]:
    """Ids with the conversation they are of: nothing refers to another one's rows."""
    return {(row["tenant"], row["conversation_id"], row[column]) for row in rows}


def _assert_in(row: Row, values: Iterable[object], known: set[tuple[object, ...]]) -> None:
    scope = (row["tenant"], row["conversation_id"])
    for value in values:
        assert (*scope, value) in known, (value, row)


def _current(tables: Mapping[str, list[Row]]) -> list[Row]:
    return [row for row in tables["messages"] if row["is_current"]]


def _listed(row: Row, column: str) -> list[object]:
    value = row[column]
    assert isinstance(value, list | tuple), row
    return list(value)


def _assert_facts(tables: Mapping[str, list[Row]]) -> None:
    messages = _ids(_current(tables), "message_id")
    sessions, facts = _ids(tables["sessions"], "session_id"), _ids(tables["facts"], "fact_id")
    cells = _ids(tables["cells"], "cell_id")
    vectors = _ids(tables["embeddings"], "text_hash")
    for row in tables["messages"]:
        assert row["is_current"] or row["session_id"] is None, row
        _assert_in(row, [row["session_id"]] if row["is_current"] else [], sessions)
    for row in tables["facts"]:
        _assert_in(row, [row["message_id"], *_listed(row, "source_message_ids")], messages)
        _assert_in(row, [row["session_id"]], sessions)
        _assert_in(row, [row["cell_id"]], cells)
        _assert_in(row, [text_hash(str(row["text"]))], vectors)
        others = [row["canonical_id"], row["superseded_by"]]
        _assert_in(row, [other for other in others if other is not None], facts)


def _assert_verdicts(tables: Mapping[str, list[Row]]) -> None:
    facts = _ids(tables["facts"], "fact_id")
    for row in tables["verdicts"]:
        _assert_in(row, [row["later_id"], row["earlier_id"]], facts)


def _assert_index(tables: Mapping[str, list[Row]]) -> None:
    messages, facts = _ids(_current(tables), "message_id"), _ids(tables["facts"], "fact_id")
    entities, nodes = (
        _ids(tables["entities"], "entity_id"),
        _ids(tables["memtree_nodes"], "node_id"),
    )
    scopes = {
        "session": _ids(tables["sessions"], "session_id"),
        "scene": _ids(tables["scenes"], "scene_id"),
        "entity": entities,
        "conversation": _ids(tables["messages"], "conversation_id"),
    }
    for row in tables["mentions"]:
        _assert_in(row, [row["fact_id"]], facts)
        _assert_in(row, [row["entity_id"]], entities)
        _assert_in(row, [row["message_id"]], messages)
    for row in tables["memtree_nodes"]:
        _assert_in(row, _listed(row, "fact_ids"), facts)
        _assert_in(row, _listed(row, "child_ids") if row["level"] != 1 else [], nodes)
        _assert_in(row, [row["scope_key"]], scopes[str(row["scope_type"])])


def _assert_links(tables: Mapping[str, list[Row]]) -> None:
    facts, sessions = _ids(tables["facts"], "fact_id"), _ids(tables["sessions"], "session_id")
    scenes = _ids(tables["scenes"], "scene_id")
    for row in tables["links"]:
        ends = {(row["tenant"], row["conversation_id"], row[e]) for e in ("source_id", "target_id")}
        if row["type"] == "merged_from":  # A former scene is known by its id only.
            _assert_in(row, [row["source_id"]], scenes)
            assert str(row["target_id"]).startswith("scene_"), row
        elif row["type"] == "split_from":
            assert ends <= scenes, row
        elif row["type"] == "associated":
            assert ends <= facts or ends <= sessions, row
        else:
            assert ends <= facts, row


def _assert_scenes(tables: Mapping[str, list[Row]]) -> None:
    scenes = _ids(tables["scenes"], "scene_id")
    facts = {row["fact_id"]: row for row in tables["facts"]}
    members: dict[object, list[Row]] = {}
    for row in tables["scene_members"]:
        _assert_in(row, [row["scene_id"]], scenes)
        fact = facts[row["memory_id"]]
        assert fact["conversation_id"] == row["conversation_id"], row
        assert fact["status"] != "duplicate", row
        assert row["status"] == "member" or (row["status"] in JUDGED and row["reason"]), row
        members.setdefault(row["scene_id"], []).append(fact)
    for row in tables["scenes"]:
        found = members.pop(row["scene_id"], [])
        assert row["member_count"] == len(found) > 0, row
        assert row["session_count"] == len({fact["session_id"] for fact in found}), row
        assert row["title"], row
        assert row["summary"], row


def _assert_personas_and_episodes(tables: Mapping[str, list[Row]]) -> None:
    facts, sessions = _ids(tables["facts"], "fact_id"), _ids(tables["sessions"], "session_id")
    said_in = {
        (row["tenant"], row["conversation_id"], row["message_id"]): row["session_id"]
        for row in _current(tables)
    }
    for row in tables["personas"]:
        assert _listed(row, "evidence"), row
        _assert_in(row, _listed(row, "evidence"), facts)
    for row in tables["episodes"]:
        _assert_in(row, [row["session_id"]], sessions)
        assert _listed(row, "source_message_ids"), row
        for message in _listed(row, "source_message_ids"):
            where = said_in[row["tenant"], row["conversation_id"], message]
            assert where == row["session_id"], row
