#!/usr/bin/env bash
# What memoryflow does, on the bundled sample logs; each command is shown before it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export MEMORYFLOW_WAREHOUSE=demo-warehouse
rm -rf "$MEMORYFLOW_WAREHOUSE"

show() {
    printf '\n\033[1m$'
    printf ' %s' "${@@Q}"
    printf '\033[0m\n'
    "$@"
}

# 1. Three conversations, and a file with bad lines, become memory.
show memoryflow run conversation_memory --input samples/logs
show memoryflow run conversation_memory --input samples/bad_lines.jsonl

# 2. Again: nothing is computed twice.
show memoryflow run conversation_memory --input samples/logs

# 3. Search.
show memoryflow search -k 3 "What happened to the van?"
show memoryflow search --conversation friends --as-of 2025-05-01T00:00:00Z -k 3 \
    "Which food is Nora allergic to?"

# 4. SQL: how a fact changed over time, and what was wrong with the bad lines.
show memoryflow sql "SELECT subject, attribute, value, valid_from::date AS valid_from, \
valid_to::date AS valid_to FROM facts WHERE attribute IN ('home_city', 'employer') \
AND status <> 'duplicate' ORDER BY subject, attribute, event_time"
show memoryflow sql "SELECT \"offset\" AS line, reason, detail FROM dead_letters ORDER BY 1"

# 5. Above the facts: scenes over many sessions, and what is known of a person, with its evidence.
show memoryflow sql "SELECT title, session_count AS sessions, summary FROM scenes \
WHERE conversation_id = 'friends' ORDER BY salience DESC LIMIT 5"
show memoryflow sql "SELECT person, attribute, value, status, valid_from::date AS valid_from, \
valid_to::date AS valid_to, support, confidence FROM personas WHERE conversation_id = 'friends' \
ORDER BY person, attribute, valid_from"

# 6. Drill down: from the whole conversation to the days.
show memoryflow tree --conversation friends --depth 2
show memoryflow tree --conversation friends --scope entity --key Ema --depth 3

# 7. Why is a memory there? Back to the message, the model and the run.
fact=$(memoryflow sql --json "SELECT fact_id FROM facts WHERE attribute = 'home_city' \
AND conversation_id = 'friends' AND status = 'active' ORDER BY event_time DESC LIMIT 1" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["fact_id"])')
show memoryflow why "$fact"
