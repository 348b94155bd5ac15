"""Stable SQL views over the memory tables.

They are stored in the lake and in an exported database, so every SQL client sees them.
Texts and names are an interface: columns may be added, not changed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A view, or with `parameters` a table macro."""

    name: str
    comment: str
    sql: str
    parameters: str | None = None


# Sources of a fact and of the facts that were merged into it, the fact's own first, then in
# the order they were said; each message once.
_SOURCES = """
SELECT tenant, conversation_id, group_id,
       list_filter(ids, lambda x, i: list_position(ids, x) = i) AS source_message_ids
FROM (
  SELECT tenant, conversation_id, coalesce(canonical_id, fact_id) AS group_id,
         flatten(list(source_message_ids ORDER BY canonical_id IS NOT NULL, event_time, seq,
                      message_id, ordinal, fact_id)) AS ids
  FROM facts {where}
  GROUP BY ALL
)"""

_FACT_COLUMNS = """f.tenant, f.conversation_id, f.fact_id AS id, 'fact' AS kind, f.text,
       f.event_time, {valid_from} AS valid_from, {valid_to} AS valid_to,
       f.occurred_start, f.occurred_end, f.speaker, f.kind AS fact_kind, f.importance,
       f.subject, f.attribute, f.value, f.entities, f.session_id,
       s.source_message_ids"""

_MEMORIES = f"""
SELECT {_FACT_COLUMNS.format(valid_from="f.valid_from", valid_to="f.valid_to")}
FROM facts f
JOIN ({_SOURCES.format(where="")}) s
  ON s.tenant = f.tenant AND s.conversation_id = f.conversation_id AND s.group_id = f.fact_id
WHERE f.status = 'active'
"""

# Bitemporal in event time: only what had been said by `t` counts, also for the end of a
# validity: a fact that was closed by something said later is still open as of `t`. Of a
# group of duplicates the canonical fact stands for all, or, where it was said later, the
# first one said.
_AS_OF_TO = """CASE WHEN u.event_time > CAST(t AS TIMESTAMPTZ) THEN NULL ELSE c.valid_to END"""
_MEMORIES_AS_OF = f"""
WITH known AS (
  SELECT *, coalesce(canonical_id, fact_id) AS group_id
  FROM facts WHERE event_time <= CAST(t AS TIMESTAMPTZ)
), standing AS (
  SELECT * FROM known
  QUALIFY row_number() OVER (
    PARTITION BY tenant, conversation_id, group_id
    ORDER BY canonical_id IS NOT NULL, event_time, seq, message_id, ordinal, fact_id) = 1
)
SELECT {_FACT_COLUMNS.format(valid_from="c.valid_from", valid_to=_AS_OF_TO)}
FROM standing f
JOIN facts c ON c.tenant = f.tenant AND c.conversation_id = f.conversation_id
  AND c.fact_id = f.group_id
LEFT JOIN facts u ON u.tenant = c.tenant AND u.conversation_id = c.conversation_id
  AND u.fact_id = c.superseded_by
JOIN ({_SOURCES.format(where="WHERE event_time <= CAST(t AS TIMESTAMPTZ)")}) s
  ON s.tenant = f.tenant AND s.conversation_id = f.conversation_id AND s.group_id = f.group_id
WHERE (c.valid_from IS NULL OR c.valid_from <= CAST(t AS TIMESTAMPTZ))
  AND (c.valid_to IS NULL OR c.valid_to > CAST(t AS TIMESTAMPTZ)
       OR u.event_time > CAST(t AS TIMESTAMPTZ))
"""

_PROVENANCE = """
SELECT p.tenant, p.conversation_id, p.memory_id, p.memory_kind, p.via_id, p.message_id,
       m.speaker, m.timestamp, m.text, p.span_start, p.span_end
FROM (
  SELECT tenant, conversation_id, coalesce(canonical_id, fact_id) AS memory_id,
         'fact' AS memory_kind, fact_id AS via_id, source AS message_id,
         CASE WHEN source = main THEN span_start END AS span_start,
         CASE WHEN source = main THEN span_end END AS span_end
  FROM (SELECT tenant, conversation_id, fact_id, canonical_id, span_start, span_end,
               message_id AS main, unnest(source_message_ids) AS source FROM facts)
  UNION ALL
  SELECT tenant, conversation_id, cell_id, 'cell', cell_id, unnest(message_ids), NULL, NULL
  FROM cells
  UNION ALL
  SELECT tenant, conversation_id, episode_id, 'episode', episode_id,
         unnest(source_message_ids), NULL, NULL
  FROM episodes
  UNION ALL
  SELECT tenant, conversation_id, session_id, 'session', session_id, message_id, NULL, NULL
  FROM messages WHERE is_current AND session_id IS NOT NULL
) p
LEFT JOIN messages m
  ON m.tenant = p.tenant AND m.conversation_id = p.conversation_id
  AND m.message_id = p.message_id AND m.is_current
"""

_TIMELINE = """
SELECT tenant, conversation_id, start_time AS time, 'session' AS kind, session_id AS id,
       message_count || ' messages, ' || array_to_string(speakers, ', ') AS text
FROM sessions
UNION ALL
SELECT tenant, conversation_id, event_time, 'fact', fact_id, text
FROM facts WHERE status <> 'duplicate'
UNION ALL
SELECT f.tenant, f.conversation_id, f.valid_to, 'supersession', f.fact_id,
       f.text || ' -> ' || coalesce(u.text, '')
FROM facts f
LEFT JOIN facts u ON u.tenant = f.tenant AND u.conversation_id = f.conversation_id
  AND u.fact_id = f.superseded_by
WHERE f.superseded_by IS NOT NULL AND f.status <> 'duplicate'
"""

VIEWS: tuple[View, ...] = (
    View(
        "current_messages",
        "The version of each message that memory is built from.",
        "SELECT * FROM messages WHERE is_current",
    ),
    View("memories", "Active facts with every message that supports them.", _MEMORIES),
    View(
        "memories_as_of",
        "memories as they were known and valid at an instant of event time.",
        _MEMORIES_AS_OF,
        parameters="t",
    ),
    View("provenance", "Memory to message: who said it, when, in which words.", _PROVENANCE),
    View("timeline", "Sessions, facts and supersessions by event time.", _TIMELINE),
)


def create_statements() -> list[str]:
    """CREATE OR REPLACE statements of all views, in order; the tables must be there."""
    out: list[str] = []
    for view in VIEWS:
        if view.parameters is None:
            out.append(f"CREATE OR REPLACE VIEW {view.name} AS {view.sql}")
            comment = view.comment.replace("'", "''")
            out.append(f"COMMENT ON VIEW {view.name} IS '{comment}'")
        else:
            out.append(
                f"CREATE OR REPLACE MACRO {view.name}({view.parameters}) AS TABLE {view.sql}"
            )
    return out
