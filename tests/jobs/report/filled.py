"""A small warehouse in which every text is hostile."""

import json
from datetime import UTC, datetime, timedelta

from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse

HOSTILE = "</td><script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;"
CONVERSATION = "c<script>alert(2)</script>"
FIRST = datetime(2024, 3, 1, 12, tzinfo=UTC)
RUN, EARLIER = "run_20240305T120000_00000002", "run_20240304T120000_00000001"


def counters(new: int) -> str:
    read = {"in": new + 3, "out": new, "filtered": 1, "filtered.role_system": 1}
    read |= {"dead_letters": 2, "dead_letters.not_json": 2}
    step = {"computed": 2, "kept": 1, "in": new, "out": new, "milliseconds": 1500}
    return json.dumps(
        {
            "counters": {
                "read": read,
                "messages": {"in": new, "new": new, "repeated": 0, "erased": 0},
                "extract": step,
                "model_calls": {"answered": 7},
                "slices": {"milliseconds": 2500},
            },
            "commits": 1,
            "spent": {"calls": 4, "tokens_in": 1000, "tokens_out": 50, "cost": 0.25},
            "stopped": None,
        }
    )


def run_row(run_id: str, day: int, new: int) -> dict[str, object]:
    started = FIRST + timedelta(days=day)
    return {
        "run_id": run_id,
        "job": "run",
        "pipeline": HOSTILE,
        "input": f"{HOSTILE}.jsonl",
        "started_at": started,
        "finished_at": started + timedelta(seconds=20),
        "status": "done",
        "counters": counters(new),
        "pipeline_spec": json.dumps({"steps": [{"id": "extract", "operator": HOSTILE}]}),
    }


def fill(warehouse: Warehouse) -> None:
    """Two runs, ten messages and one row at least of everything else."""
    scope = {"conversation_id": CONVERSATION, "tenant": HOSTILE}
    times = [FIRST + timedelta(days=day) for day in range(10)]
    facts = [f"f{i}" for i in range(10)]
    rows = {
        "runs": [run_row(EARLIER, 0, 4), run_row(RUN, 1, 6)],
        "messages": [
            {**scope, "message_id": f"m{i}", "text": HOSTILE, "speaker": HOSTILE, "timestamp": t}
            for i, t in enumerate(times)
        ],
        "facts": [
            {**scope, "fact_id": f, "text": HOSTILE, "event_time": t, "status": "active"}
            for f, t in zip(facts, times, strict=True)
        ],
        "scenes": [
            {
                **scope,
                "scene_id": "s1",
                "title": HOSTILE,
                "summary": HOSTILE,
                "people": [HOSTILE],
                "start_time": times[0],
                "end_time": times[-1],
                "member_count": 10,
            }
        ],
        "scene_members": [{**scope, "scene_id": "s1", "memory_id": f} for f in facts],
        "personas": [
            {
                **scope,
                "persona_id": "p1",
                "person": HOSTILE,
                "attribute": HOSTILE,
                "value": HOSTILE,
                "status": "conflict",
            }
        ],
        "memtree_nodes": tree(scope, facts, times),
        "dead_letters": [
            {
                "dead_letter_id": f"d{i}",
                "step": "read",
                "reason": "not_json",
                "detail": HOSTILE,
                "raw": HOSTILE.encode() + b"\x00\xff\x1b[31m",
                "source": HOSTILE,
                "offset": i,
            }
            for i in range(5)
        ],
        "artifacts": [{**scope, "artifact_id": "a1", "model_id": HOSTILE, "step": "extract"}],
        "embeddings": [{**scope, "text_hash": "h", "model_id": HOSTILE, "vector": [1.0]}],
        "sessions": [{**scope, "session_id": "s"}],
    }
    commit(warehouse, [ChangeSet(t, inserts=make_rows(t, r)) for t, r in rows.items()])


def tree(scope: dict[str, str], facts: list[str], times: list[datetime]) -> list[dict[str, object]]:
    """Ten facts in two nodes under a root."""
    common = {**scope, "tree_id": "t", "scope_type": "conversation", "summary": HOSTILE}
    halves = [
        {
            **common,
            "node_id": f"n{half}",
            "level": 1,
            "is_root": False,
            "is_closed": half == 0,
            "child_ids": ["leaf"] * 5,
            "fact_ids": facts[5 * half : 5 * half + 5],
            "leaf_count": 5,
            "start_time": times[5 * half],
            "end_time": times[5 * half + 4],
        }
        for half in range(2)
    ]
    root = {
        **common,
        "node_id": "root",
        "level": 2,
        "is_root": True,
        "is_closed": False,
        "child_ids": ["n0", "n1"],
        "leaf_count": 10,
        "start_time": times[0],
        "end_time": times[-1],
    }
    return [*halves, root]
