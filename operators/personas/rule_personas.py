"""Personas by rule: who people are, what they like, do and whom they know."""

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, values
from operators.personas.claims import Column
from operators.personas.llm_reader import LlmReader
from operators.personas.people import person_key
from operators.personas.reading import RuleReader
from operators.personas.scoring import confidence, stability
from operators.personas.timeline import Trait, clash, sessions, traits
from schemas.ids import content_id

_COLUMNS = (
    *("fact_id", "message_id", "session_id", "speaker", "role", "text", "event_time", "seq"),
    *("ordinal", "subject", "attribute", "value", "valid_from", "importance", "extractor"),
    *("status", "canonical_id"),
)


class RulePersonas(Operator, frozen=True):
    """Gather what the facts of a conversation show of each person in it.

    Method: the persona level of Bi-Mem and the observations of Hindsight. Claims are read
    from the facts, by rules or by a model; all else is the rules' work, so that support and
    confidence mean the same whoever reads. Claims of one value, or of values that narrow each other
    ("Porto", "Porto, Portugal"), are one row. Where an attribute has one value at a time,
    the next value ends the former, but a value that a single session states, unannounced,
    between two statements of another is a clash. Two messages of one time with two values
    clash, and so do a liking and a disliking, unless several sessions confirm the later one;
    pairs that an earlier step linked as `contradicts` clash too. A habit is what is said to
    be done regularly, what was begun, or what several sessions tell of; "stopped" ends it.

    Repetitions that deduplication set aside count as evidence: they confirm.

    Input: `facts`, `links`. Output: `personas`; confidence and stability as in `scoring`.
    Errors: `ModelUnavailableError` with a model. Cost: none, or LLM: one round trip for all
    conversations of the call. Deterministic, with a model given its recorded answers.

    Attributes:
        reader: how claims are read from facts: `{kind: rules, habit_sessions: 3}`, or
            `{kind: llm, llm: ...}`.
    """

    operator: Literal["rule_personas"] = "rule_personas"
    reader: Annotated[RuleReader | LlmReader, Field(discriminator="kind")] = RuleReader()

    READS: ClassVar[tuple[str, ...]] = ("facts", "links")
    WRITES: ClassVar[tuple[str, ...]] = ("personas",)
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Gather the personas of all conversations of the call."""
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in _COLUMNS}
        against = _contradictions(need(tables, "links", self.operator))
        rows: list[dict[str, Any]] = []
        read = 0
        conversations = list(groups(facts, SCOPE, FACT_ORDER).items())
        claimed = self.reader.read(conversations, column, models)
        for (scope, members), claims in zip(conversations, claimed, strict=True):
            read += len(claims)
            latest = max(column["event_time"][row] for row in members)
            found = traits(claims, column, self.reader.habit_sessions, latest)
            if found and against:
                _weigh(found, against, members, column)
            rows += [_row(scope, trait, column) for trait in found]
        counters = {"in": facts.num_rows, "claims": read, "personas": len(rows)}
        return StepResult({"personas": from_rows("personas", rows)}, counters)


def _contradictions(links: pa.Table) -> set[tuple[str, str]]:
    """Pairs of facts that contradict each other, without those that follow each other."""
    types, sources, targets = (values(links, n) for n in ("type", "source_id", "target_id"))
    pairs: dict[str, set[tuple[str, str]]] = {"contradicts": set(), "supersedes": set()}
    for kind, source, target in zip(types, sources, targets, strict=True):
        if kind in pairs:
            pairs[kind].add((source, target))
    return pairs["contradicts"] - pairs["supersedes"]


def _weigh(
    found: list[Trait], against: set[tuple[str, str]], members: list[int], column: Column
) -> None:
    """Traits whose evidence contradicts that of another clash; other contradictions weigh."""
    row_of = {column["fact_id"][row]: row for row in members}
    holders: dict[int, list[Trait]] = {}
    for trait in found:
        for row in {claim.row for claim in trait.claims}:
            holders.setdefault(row, []).append(trait)
    for source, target in sorted(against):
        ends = [row_of[end] for end in (source, target) if end in row_of]
        if len(ends) < 2:
            continue
        one, other = ends
        for trait in holders.get(one, []):
            rivals = [t for t in holders.get(other, []) if _rivals(trait, t)]
            for rival in rivals:
                if trait.status == rival.status == "current":
                    clash(trait, rival, column)
        for row, by in ((one, other), (other, one)):
            for trait in holders.get(row, []):
                if all(claim.row != by for claim in trait.claims):
                    trait.clashes.add(column["session_id"][by])


def _rivals(one: Trait, other: Trait) -> bool:
    """Whether two traits tell of one thing about one person, differently."""
    same = person_key(one.person) == person_key(other.person) and one is not other
    topic = one.attribute == other.attribute or {one.attribute, other.attribute} == {
        "likes",
        "dislikes",
    }
    return same and topic and (one.key != other.key or one.attribute != other.attribute)


def _row(scope: tuple[Any, ...], trait: Trait, column: Column) -> dict[str, Any]:
    evidence = list(dict.fromkeys(column["fact_id"][claim.row] for claim in trait.claims))
    heaviest: dict[str, float] = {}
    first: dict[str, int] = {}
    for claim in trait.claims:
        session = column["session_id"][claim.row]
        heaviest[session] = max(heaviest.get(session, 0.0), claim.weight)
        first.setdefault(session, column["event_time"][claim.row])
    clashing = len(trait.clashes - heaviest.keys()) or len(trait.clashes)
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "persona_id": content_id(
            *("persona", scope[0], scope[1], person_key(trait.person), trait.kind),
            *(trait.attribute, trait.key, evidence[0]),
        ),
        "person": trait.person,
        "kind": trait.kind,
        "attribute": trait.attribute,
        "value": _spelling(trait),
        "evidence": evidence,
        "support": len(sessions(trait.claims, column)),
        "confidence": confidence(list(heaviest.values()), clashing),
        "stability": stability(list(first.values())),
        "status": trait.status,
        "valid_from": trait.start,
        "valid_to": trait.end,
        "made_by": "llm" if any(c.made_by == "llm" for c in trait.claims) else "rules",
    }


def _spelling(trait: Trait) -> str:
    """The most frequent wording; of those the longest, then the first in the alphabet."""
    counts = Counter(claim.value for claim in trait.claims)
    return min(counts, key=lambda value: (-counts[value], -len(value), value))
