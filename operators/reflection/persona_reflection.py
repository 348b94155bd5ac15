"""Reflection by personas: what clashes with them is doubted, demoted or set apart."""

from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, replace, values
from operators.personas.people import is_human, person_key, person_name
from operators.reflection.doubts import Conversation, Doubt, SupportRule
from operators.reflection.llm_rule import LlmRule
from operators.reflection.parts import Apart, clashes, parts
from schemas.ids import content_id

_FACT = (
    *("fact_id", "session_id", "cell_id", "speaker", "role", "text", "importance"),
    *("entities", "subject", "event_time"),
)
_PERSONA = (
    *("persona_id", "person", "kind", "attribute", "value", "evidence", "confidence", "status"),
    *("valid_to",),
)
_DEMOTED, _APART = "demoted", "apart"


class PersonaReflection(Operator, frozen=True):
    """Question facts and scenes under the constraints of the personas.

    Method: the reflective pass of Bi-Mem. A statement that denies a well-supported
    trait, and that nothing later takes as a change, is doubted: it keeps its place and its
    validity, but carries the reason, is demoted in its scene, and is linked as `contradicts`
    to the evidence it denies. A scene with members whom no person, keyword or exchange ties
    to its main story is split: they are set apart, in numbered parts. Nothing is deleted, and
    most conversations give few doubts.

    Input: `facts`, `scenes`, `scene_members`, `personas`. Output: `facts.doubt`;
    `scene_members.status`, `.part`, `.reason`; `links` of type `contradicts`, method
    `persona`, whose score is the confidence of the persona. Errors: `ModelUnavailableError`
    with a model. Cost: none, or LLM: one round trip for all conversations of the call, none
    where nothing goes against a persona. Deterministic, with a model given its recorded answers.

    Attributes:
        rule: when a statement is doubted: `{kind: support, min_support: 3}`, or
            `{kind: llm, llm: ...}`.
        least_apart: fewest members that make a story of their own.
    """

    operator: Literal["persona_reflection"] = "persona_reflection"
    rule: Annotated[SupportRule | LlmRule, Field(discriminator="kind")] = SupportRule()
    least_apart: int = Field(default=3, ge=1)

    READS: ClassVar[tuple[str, ...]] = ("facts", "scenes", "scene_members", "personas")
    WRITES: ClassVar[tuple[str, ...]] = (
        "facts.doubt",
        "scene_members.status",
        "scene_members.part",
        "scene_members.reason",
        "links",
    )
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Reflect on all conversations of the call."""
        facts = need(tables, "facts", self.operator)
        members = need(tables, "scene_members", self.operator)
        doubted: dict[str, Doubt] = {}
        apart: dict[tuple[str, str], Apart] = {}
        links: list[dict[str, Any]] = []
        said = _by_scope(facts, _FACT, FACT_ORDER)
        known = _by_scope(need(tables, "personas", self.operator), _PERSONA, ("persona_id",))
        scenes = _by_scope(
            need(tables, "scenes", self.operator), ("scene_id", "keywords"), ("scene_id",)
        )
        in_scene = _members(members)
        conversations = [
            Conversation(scope[0], scope[1], known.get(scope, []), rows)
            for scope, rows in said.items()
        ]
        found_in = self.rule.read(conversations, models)
        for (scope, rows), found in zip(said.items(), found_in, strict=True):
            personas = known.get(scope, [])
            doubted |= {doubt.fact_id: doubt for doubt in found}
            links += [_link(scope, doubt) for doubt in found]
            if scope in scenes:
                apart |= self._split(rows, personas, scenes[scope], in_scene)
        out = {
            "facts": _with_doubts(facts, doubted),
            "scene_members": _with_judgements(members, doubted, apart),
            "links": from_rows("links", links),
        }
        counters = {
            "in": members.num_rows,
            "out": members.num_rows,
            "doubted": len(doubted),
            "apart": len(apart),
        }
        return StepResult(out, counters)

    def _split(
        self,
        rows: list[dict[str, Any]],
        personas: list[dict[str, Any]],
        scenes: list[dict[str, Any]],
        in_scene: dict[str, frozenset[str]],
    ) -> dict[tuple[str, str], Apart]:
        people = {person_key(row["person"]) for row in personas} | {
            person_key(person_name(row["speaker"]))
            for row in rows
            if is_human(row["speaker"], row["role"])
        }
        clashing = clashes(personas)
        scene_of: dict[str, list[str]] = {}
        for scene in scenes:
            for fact_id in in_scene.get(scene["scene_id"], ()):
                scene_of.setdefault(fact_id, []).append(scene["scene_id"])
        held: dict[str, list[dict[str, Any]]] = {}
        for row in rows:  # event order
            for scene_id in scene_of.get(row["fact_id"], ()):
                held.setdefault(scene_id, []).append(row)
        return {
            (scene["scene_id"], fact_id): judged
            for scene in scenes
            for fact_id, judged in parts(
                scene, held.get(scene["scene_id"], []), people, clashing, self.least_apart
            ).items()
        }


def _by_scope(
    table: pa.Table, names: tuple[str, ...], order: tuple[str, ...]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Rows by conversation, in the order given."""
    columns = [values(table, name) for name in names]
    return {
        scope: [dict(zip(names, (c[row] for c in columns), strict=True)) for row in rows]
        for scope, rows in groups(table, SCOPE, order).items()
    }


def _members(table: pa.Table) -> dict[str, frozenset[str]]:
    held: dict[str, set[str]] = {}
    for scene, memory in zip(values(table, "scene_id"), values(table, "memory_id"), strict=True):
        held.setdefault(scene, set()).add(memory)
    return {scene: frozenset(memories) for scene, memories in held.items()}


def _with_doubts(facts: pa.Table, doubted: dict[str, Doubt]) -> pa.Table:
    found = [doubted.get(fact_id) for fact_id in values(facts, "fact_id")]
    return replace("facts", facts, {"doubt": [d.reason if d else None for d in found]})


def _with_judgements(
    members: pa.Table, doubted: dict[str, Doubt], apart: dict[tuple[str, str], Apart]
) -> pa.Table:
    status: list[str] = []
    part: list[int] = []
    reason: list[str | None] = []
    scenes, memories = values(members, "scene_id"), values(members, "memory_id")
    for scene, memory in zip(scenes, memories, strict=True):
        doubt, split = doubted.get(memory), apart.get((scene, memory))
        status.append(_DEMOTED if doubt else _APART if split else "member")
        part.append(split.part if split else 0)
        reason.append(doubt.reason if doubt else split.reason if split else None)
    columns = {"status": status, "part": part, "reason": reason}
    return replace("scene_members", members, columns)


def _link(scope: tuple[Any, ...], doubt: Doubt) -> dict[str, Any]:
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", "contradicts", doubt.fact_id, doubt.against, "persona"),
        "type": "contradicts",
        "source_id": doubt.fact_id,
        "target_id": doubt.against,
        "score": doubt.score,
        "method": "persona",
        "step": "persona_reflection",
    }
