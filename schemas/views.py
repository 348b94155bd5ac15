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

# Of a group of duplicates the canonical fact stands for all, or, where it was said after
# `t`, the first one said.
_STANDING = """known AS (
  SELECT *, coalesce(canonical_id, fact_id) AS group_id
  FROM facts WHERE event_time <= CAST(t AS TIMESTAMPTZ)
), standing AS (
  SELECT * FROM known
  QUALIFY row_number() OVER (
    PARTITION BY tenant, conversation_id, group_id
    ORDER BY canonical_id IS NOT NULL, event_time, seq, message_id, ordinal, fact_id) = 1
)"""

# Bitemporal in event time: only what had been said by `t` counts, also for the end of a
# validity: a fact that was closed by something said later is still open as of `t`.
_AS_OF_TO = """CASE WHEN u.event_time > CAST(t AS TIMESTAMPTZ) THEN NULL ELSE c.valid_to END"""
_MEMORIES_AS_OF = f"""
WITH {_STANDING}
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

# A scene rests on its members with what was merged into them, a persona on its evidence.
_PROVENANCE = """
WITH said AS (
  SELECT tenant, conversation_id, fact_id, coalesce(canonical_id, fact_id) AS group_id,
         source AS message_id,
         CASE WHEN source = main THEN span_start END AS span_start,
         CASE WHEN source = main THEN span_end END AS span_end
  FROM (SELECT tenant, conversation_id, fact_id, canonical_id, span_start, span_end,
               message_id AS main, unnest(source_message_ids) AS source FROM facts)
)
SELECT p.tenant, p.conversation_id, p.memory_id, p.memory_kind, p.via_id, p.message_id,
       m.speaker, m.timestamp, m.text, p.span_start, p.span_end
FROM (
  SELECT tenant, conversation_id, group_id AS memory_id, 'fact' AS memory_kind,
         fact_id AS via_id, message_id, span_start, span_end
  FROM said
  UNION ALL
  SELECT s.tenant, s.conversation_id, c.scene_id, 'scene', s.fact_id, s.message_id,
         s.span_start, s.span_end
  FROM scene_members c
  JOIN said s ON s.tenant = c.tenant AND s.conversation_id = c.conversation_id
    AND s.group_id = c.memory_id
  UNION ALL
  SELECT s.tenant, s.conversation_id, e.persona_id, 'persona', s.fact_id, s.message_id,
         s.span_start, s.span_end
  FROM (SELECT tenant, conversation_id, persona_id, unnest(evidence) AS fact_id FROM personas) e
  JOIN said s ON s.tenant = e.tenant AND s.conversation_id = e.conversation_id
    AND s.fact_id = e.fact_id
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

# Forgetting, as functions of what is recorded; nothing is deleted by them. Time in days.
# - strength S = 1 + accesses + 1.5 * importance: MemoryBank (arXiv 2305.10250), whose every
#   recall adds 1, with the weight that SuperLocalMemory gives importance.
# - retention = exp(-d / S), d: days since the last access, or since it was said.
# - heat = accesses + messages that support it + exp(-h / 24), h: d in hours: MemoryOS
#   (arXiv 2506.06326), N_visit + L_interaction + R_recency.
# - score: ByteRover's importance of 0..100. It begins at 50 + 50 * importance, every access
#   adds 3, and a day takes 0.5% of it. A memory begins in 'long_term'; it becomes 'working'
#   at 85 until the score falls below 60, and falls into 'archive' below 35 until it is back
#   at 65. Between two thresholds it stays what it was, so the tier is judged on the whole
#   history: only an event raises the score, so it is highest after one and lowest before
#   the next, or now.
_HEAT = f"""
WITH {_STANDING}, events AS (
  SELECT tenant, conversation_id, group_id, event_time AS time, 50 + 50 * importance AS points,
         NULL AS access_id
  FROM standing
  UNION ALL
  SELECT s.tenant, s.conversation_id, s.group_id, greatest(a.accessed_at, s.event_time), 3,
         a.access_id
  FROM accesses a
  JOIN known k ON k.tenant = a.tenant AND k.conversation_id = a.conversation_id
    AND k.fact_id = a.memory_id
  JOIN standing s ON s.tenant = k.tenant AND s.conversation_id = k.conversation_id
    AND s.group_id = k.group_id
  WHERE a.accessed_at <= CAST(t AS TIMESTAMPTZ)
), numbered AS (
  SELECT *, least((epoch_us(time) - epoch_us(min(time) OVER item)) / 86.4e9, 36500) AS day,
         row_number() OVER (item ORDER BY time, access_id NULLS FIRST) AS n
  FROM events
  WINDOW item AS (PARTITION BY tenant, conversation_id, group_id)
), scored AS (
  SELECT *, pow(0.995, day) * sum(points * pow(0.995, -day)) OVER (
              PARTITION BY tenant, conversation_id, group_id ORDER BY n
              ROWS UNBOUNDED PRECEDING) AS after_it
  FROM numbered
), history AS (
  SELECT tenant, conversation_id, group_id,
         count(access_id) AS accesses,
         max(time) FILTER (access_id IS NOT NULL) AS last_access,
         max(time) AS last_time,
         arg_max(after_it, n) AS last_score,
         coalesce(max(n) FILTER (after_it >= 85), 0) AS over_85,
         coalesce(max(n) FILTER (after_it - points < 60 AND n > 1), 1) AS under_60,
         coalesce(max(n) FILTER (after_it >= 65), 1) AS over_65,
         coalesce(max(n) FILTER (after_it - points < 35 AND n > 1), 1) AS under_35
  FROM scored GROUP BY ALL
), measured AS (
  SELECT h.*, f.fact_id, c.text, c.status, f.importance, f.event_time,
         len(m.source_message_ids) AS messages,
         (epoch_us(CAST(t AS TIMESTAMPTZ)) - epoch_us(f.event_time)) / 3.6e9 AS age,
         (epoch_us(CAST(t AS TIMESTAMPTZ)) - epoch_us(h.last_time)) / 3.6e9 AS idle,
         1 + h.accesses + 1.5 * f.importance AS s
  FROM standing f
  JOIN history h USING (tenant, conversation_id, group_id)
  JOIN facts c ON c.tenant = f.tenant AND c.conversation_id = f.conversation_id
    AND c.fact_id = f.group_id
  JOIN ({_SOURCES.format(where="WHERE event_time <= CAST(t AS TIMESTAMPTZ)")}) m
    ON m.tenant = f.tenant AND m.conversation_id = f.conversation_id AND m.group_id = f.group_id
), judged AS (
  SELECT *, last_score * pow(0.995, idle / 24) AS score FROM measured
)
SELECT tenant, conversation_id, fact_id, text, status, importance, event_time,
       accesses, last_access, round(age, 4) AS age_hours, round(idle, 4) AS idle_hours,
       round(s, 4) AS strength,
       round(exp(-idle / 24 / s), 4) AS retention,
       round(accesses + messages + exp(-idle / 24), 4) AS heat,
       round(least(score, 100), 4) AS score,
       CASE WHEN over_85 >= under_60 AND score >= 60 THEN 'working'
            WHEN over_65 >= under_35 AND score >= 35 THEN 'long_term'
            ELSE 'archive' END AS tier
FROM judged
"""


def _count(pointer: str, type_: str = "BIGINT") -> str:
    """A number of `runs.counters`, null where the run has none."""
    return f"TRY_CAST(json_extract_string(counters, '{pointer}') AS {type_})"


# A batch run counts what it has read, a stream the messages only.
_RUN_SUMMARY = f"""
WITH counted AS (
  SELECT *, (epoch_us(finished_at) - epoch_us(started_at)) / 1e6 AS took,
         coalesce({_count("/counters/read/in")}, {_count("/messages")},
                  {_count("/counters/messages/in")}) AS rows_read
  FROM runs
)
SELECT run_id, job, pipeline, status, started_at, finished_at, round(took, 3) AS seconds, input,
       rows_read,
       {_count("/counters/messages/new")} AS new_messages,
       {_count("/counters/messages/repeated")} AS repeated_messages,
       {_count("/counters/messages/erased")} AS erased_messages,
       {_count("/counters/read/filtered")} AS filtered,
       {_count("/counters/read/dead_letters")} AS dead_letters,
       round(rows_read / nullif(took, 0), 1) AS rows_per_second,
       {_count("/commits")} AS commits,
       {_count("/counters/model_calls/answered")} AS texts_embedded,
       {_count("/spent/calls")} AS llm_calls,
       {_count("/spent/tokens_in")} AS tokens_in,
       {_count("/spent/cached_tokens")} AS cached_tokens,
       {_count("/spent/tokens_out")} AS tokens_out,
       {_count("/spent/cost", "DOUBLE")} AS cost,
       json_extract_string(counters, '/stopped') AS stopped
FROM counted
"""

_RUN_STEPS = """
SELECT run_id, started_at, place, step,
       TRY_CAST(counts ->> 'computed' AS BIGINT) AS computed,
       TRY_CAST(counts ->> 'kept' AS BIGINT) AS kept,
       TRY_CAST(counts ->> 'in' AS BIGINT) AS rows_in,
       TRY_CAST(counts ->> 'out' AS BIGINT) AS rows_out,
       TRY_CAST(counts ->> 'filtered' AS BIGINT) AS filtered,
       TRY_CAST(counts ->> 'milliseconds' AS BIGINT) AS milliseconds,
       counts
FROM (
  SELECT run_id, started_at, step, json_extract(counters, '/counters/' || step) AS counts,
         list_position(json_extract_string(pipeline_spec, '$.steps[*].id'), step) AS place
  FROM (SELECT *, unnest(json_keys(counters, '/counters')) AS step FROM runs)
)
WHERE json_exists(counts, '/computed')
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
    View(
        "memory_heat",
        "Accesses, retention, heat and tier of every fact, at an instant; see docs/recall.md.",
        _HEAT,
        parameters="t",
    ),
    View(
        "run_summary",
        "Runs with their duration, what they read, rates, model calls, tokens and cost (USD).",
        _RUN_SUMMARY,
    ),
    View(
        "run_steps",
        "Steps of each run by place: keys computed and kept, rows, milliseconds of all workers.",
        _RUN_STEPS,
    ),
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
