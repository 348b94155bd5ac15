"""The operator that judges pairs of facts and writes what they are to each other."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, values
from operators.relations.judge import AnyJudge, RuleJudge
from operators.relations.pairs import Ranks, by_attribute, neighbours, never_done
from operators.relations.statement import Statement, is_machine, statements
from operators.relations.verdict import Pair, Verdict
from operators.vectors import TextVectors, exact_dots
from operators.verdicts.recorded import TABLE as VERDICTS
from operators.verdicts.recorded import Verdicts, recorded_verdicts
from schemas.ids import content_id

_COLUMNS = (
    *("fact_id", "text", "speaker", "role", "kind", "session_id", "cell_id", "message_id"),
    *("ordinal", "seq", "event_time", "occurred_start", "occurred_end", "entities", "status"),
    "span_end",
    *("subject", "attribute", "value"),
)
_Scope = tuple[Any, ...]
_Known = dict[tuple[str, str], list[str]]


class _Before(NamedTuple):
    """What earlier steps said of pairs: types of links by (earlier, later) ids, and verdicts."""

    links: _Known
    verdicts: Verdicts


class TypedRelations(Operator, frozen=True):
    """Say what facts are to earlier facts: extend, refine, accumulate, transform, contradict.

    Method: the evolution patterns of PREMem (extension, accumulation, specification,
    transformation, implication) with the pair verdicts of Keep Me Updated (arXiv 2210.08750)
    and Mem0, by rule where they ask a model. Judged are facts that are associated, facts of
    one subject and attribute, and neighbours in a cell; a pair gets the strongest relation
    that holds, and the evidence is recorded as the link's method. Precision goes before
    recall: a wrong contradiction costs more than a missing one.

    Duplicates take no part (their canonical facts do), nor do pairs that supersede each
    other, unless nothing orders them: then the conflict is written beside. What an assistant
    said, and long texts that people paste, are no memory of a person and are not judged.

    Input: `facts`, `embeddings` (by hash of the text), `links` of types `associated` (of
    facts; others are passed over), `same` and `supersedes`; `verdicts` with the judge of that
    name, which judges the pairs there, too. Output: `links` from the later to the earlier
    fact, with the cosine as score (1 for attributes).
    Errors: `ValueError` for a judged fact whose text has no vector, or vectors of two models.
    Cost: none. Deterministic.

    Attributes:
        judge: how pairs are judged: `{kind: rules}`, or `{kind: verdicts}` to take what a
            model said of them (`otherwise: rules` or `none` for the pairs without).
        document_chars: a longer message is a document, which is not judged.
    """

    operator: Literal["typed_relations"] = "typed_relations"
    judge: AnyJudge = RuleJudge()
    document_chars: int = Field(default=2000, ge=200)

    READS: ClassVar[tuple[str, ...]] = ("facts", "embeddings", "links", VERDICTS)
    WRITES: ClassVar[tuple[str, ...]] = ("links",)
    KEY: ClassVar[Key] = Key.CONVERSATION

    def reads(self) -> tuple[str, ...]:
        """Verdicts only where they judge."""
        return self.READS if self.judge.kind == "verdicts" else self.READS[:-1]

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Judge all conversations of the call."""
        by_model = self.judge.kind == "verdicts"
        said = recorded_verdicts(tables, self.operator) if by_model else {}
        facts = need(tables, "facts", self.operator)
        known = _known(need(tables, "links", self.operator))
        vectors = TextVectors(need(tables, "embeddings", self.operator))
        column = {name: values(facts, name) for name in _COLUMNS}
        pairs: list[Pair] = []
        scopes: list[_Scope] = []
        for scope, rows in groups(facts, SCOPE, FACT_ORDER).items():
            judged = self._judged(rows, column)
            before = _Before(known.get(scope, {}), said.get(scope, {}))
            found = _pairs(scope, statements(column, judged), before, vectors)
            pairs += found
            scopes += [scope] * len(found)
        verdicts = self.judge.judge(pairs, models)
        links = [
            _link(scope, pair, verdict)
            for scope, pair, verdict in zip(scopes, pairs, verdicts, strict=True)
            if verdict is not None
        ]
        counters = {
            "in": len(pairs),
            "out": len(links),
            "filtered": len(pairs) - len(links),
            "facts": facts.num_rows,
        }
        return StepResult({"links": from_rows("links", links)}, counters)

    def _judged(self, rows: list[int], column: dict[str, list[Any]]) -> list[int]:
        """Facts that people told in their own messages, without repetitions."""
        length: dict[str, int] = {}
        for row in rows:
            message, end = column["message_id"][row], column["span_end"][row]
            length[message] = max(end, length.get(message, 0))
        return [
            row
            for row in rows
            if column["status"][row] != "duplicate"
            and length[column["message_id"][row]] <= self.document_chars
            and not is_machine(column["role"][row], column["speaker"][row])
        ]


def _known(links: pa.Table) -> dict[_Scope, _Known]:
    """Types of the links by conversation and (earlier, later) ids."""
    names = (*SCOPE, "target_id", "source_id", "type")
    out: dict[_Scope, _Known] = {}
    for tenant, conversation, target, source, type_ in zip(
        *(values(links, name) for name in names), strict=True
    ):
        ends = out.setdefault((tenant, conversation), {})
        ends.setdefault((target, source), []).append(type_)
    return out


def _pairs(
    scope: _Scope,
    told: Sequence[Statement],
    before: _Before,
    vectors: TextVectors,
) -> list[Pair]:
    """The pairs of a conversation to judge, in event order of the later, then the earlier."""
    rank = {statement.fact_id: statement.rank for statement in told}
    near = frozenset(neighbours(told))
    chosen = {*near, *by_attribute(told), *never_done(told)}
    types: dict[Ranks, frozenset[str]] = {}
    for (target, source), judged in before.links.items():
        if target in rank and source in rank:  # else of sessions, or of assistants
            ends = (rank[target], rank[source])
            types[ends] = frozenset(judged)
            if "associated" in judged and ends[0] < ends[1]:
                chosen.add(ends)
    recorded: dict[Ranks, str] = {}
    for (source, target), said in before.verdicts.items():
        if target in rank and source in rank and rank[target] < rank[source]:
            recorded[rank[target], rank[source]] = said.verdict
    chosen |= recorded.keys()
    pairs = sorted(
        (ends for ends in chosen if "same" not in types.get(ends, ())), key=lambda ends: ends[::-1]
    )
    return [
        Pair(
            earlier=told[ends[0]],
            later=told[ends[1]],
            cosine=cosine,
            neighbours=ends in near,
            superseded="supersedes" in types.get(ends, ()),
            recorded=recorded.get(ends),
        )
        for ends, cosine in zip(pairs, _cosines(scope, told, pairs, vectors), strict=True)
    ]


def _cosines(
    scope: _Scope, told: Sequence[Statement], pairs: Sequence[Ranks], vectors: TextVectors
) -> list[float]:
    """Each rests on its two texts alone: scores of links may be of another kind."""
    if not pairs:
        return []
    stored = vectors.get(scope, [statement.text for statement in told])
    earlier, later = np.array(pairs).T
    return np.round(exact_dots(stored[earlier], stored[later]), 4).tolist()


def _link(scope: _Scope, pair: Pair, verdict: Verdict) -> dict[str, Any]:
    source, target = pair.later.fact_id, pair.earlier.fact_id
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", verdict.type, source, target),
        "type": verdict.type,
        "source_id": source,
        "target_id": target,
        "score": verdict.score,
        "method": verdict.method,
        "step": "typed_relations",
    }
