"""Statements that say the same again: exact and near duplicates of a conversation."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables, Vectors
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, replace, values
from operators.periods import Period, value_periods
from operators.repeats import exact_repeats, voice
from operators.statements import guard, shared_words
from operators.vectors import TextVectors, exact_dots
from operators.verdicts.recorded import TABLE as VERDICTS
from operators.verdicts.recorded import recorded_verdicts
from operators.verdicts.sameness import Sameness, times_apart
from schemas.ids import content_id

_BLOCK = 512
_MARGIN = 0.001  # float32 error and rounding to four digits stay far below it
_COLUMNS = (
    *(*SCOPE, "fact_id", "speaker", "text", "entities", "occurred_start", "occurred_end"),
    *("subject", "attribute", "value"),
)


@dataclass(frozen=True)
class _Verdict:
    """A row is a duplicate of a canonical row."""

    canonical: int
    score: float
    method: Literal["exact", "cosine", "model"]


class NearDuplicates(Operator, frozen=True):
    """Mark facts that repeat an earlier fact of their conversation.

    Method: canonicalisation of MemForest (arXiv 2605.23986: text hash, then nearest
    neighbours by cosine) with rules where it asks a model. In event order, a fact is a
    duplicate if an earlier one has the same normalised text, or else if one of its nearest
    earlier *canonical* facts passes the threshold; otherwise it is canonical itself. Being
    compared with canonical facts only, duplicates cannot drift along a chain. Two facts are
    compared only if they agree in speaker, numbers, names and their order, negations and
    words of opposite sense, attribute and value, and the value's period (a value that came
    back after another one is news). Times of occurrence must both be unknown or overlap.

    Scores are summed in a fixed order in float64 and rounded to four digits before anything
    is decided; ties go to the earlier fact. The result is a function of the set of facts.

    With `judge: verdicts` a model has the word on the pairs that it was asked about: what it
    calls the same is a duplicate of the earliest such fact, unless that cannot be (see
    `Sameness`); what it calls anything else is none, whatever the cosine. All other pairs,
    exact repetitions among them, are judged as above.

    Input: `facts`, `embeddings` (by hash of the text); `verdicts` with `judge: verdicts`.
    Output: `facts.status`, `facts.canonical_id`; `links` of type `same` from the duplicate
    to its canonical fact, method `exact` (score 1), `cosine` or `model` (the cosine of the
    pair that was judged).
    Errors: `ValueError` for a fact whose text has no vector, or vectors of two models.
    Cost: none. Deterministic.

    Attributes:
        threshold: least cosine of a near duplicate.
        overlap: least share of common words (Jaccard); long texts on one topic are close as
            vectors though they say different things.
        neighbours: how many of its nearest earlier canonical facts a fact is judged against.
        exact: whether equal normalised texts are duplicates whatever their vectors.
        judge: `rules`, or `verdicts` to go by what a model said of the pairs.
    """

    operator: Literal["near_duplicates"] = "near_duplicates"
    threshold: float = Field(default=0.93, gt=0, le=1)
    overlap: float = Field(default=0.6, ge=0, le=1)
    neighbours: int = Field(default=8, ge=1)
    exact: bool = True
    judge: Literal["rules", "verdicts"] = "rules"

    READS: ClassVar[tuple[str, ...]] = ("facts", "embeddings", VERDICTS)
    WRITES: ClassVar[tuple[str, ...]] = ("facts.status", "facts.canonical_id", "links")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def reads(self) -> tuple[str, ...]:
        """Verdicts only where they judge."""
        return self.READS if self.judge == "verdicts" else self.READS[:-1]

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Judge all conversations of the call."""
        del models
        said = recorded_verdicts(tables, self.operator) if self.judge == "verdicts" else {}
        table = need(tables, "facts", self.operator)
        column = {name: values(table, name) for name in _COLUMNS}
        vectors = TextVectors(need(tables, "embeddings", self.operator))
        status = ["active"] * table.num_rows
        canonical: list[str | None] = [None] * table.num_rows
        links: list[dict[str, Any]] = []
        refused = 0
        for scope, rows in groups(table, SCOPE, FACT_ORDER).items():
            periods = value_periods(rows, column["subject"], column["attribute"], column["value"])
            told = Sameness.of(rows, column, periods, said.get(scope, {}))
            for row, verdict in self._judge(scope, rows, column, periods, vectors, told).items():
                target = column["fact_id"][verdict.canonical]
                status[row], canonical[row] = "duplicate", target
                links.append(_link(scope, column["fact_id"][row], target, verdict))
            refused += told.refused
        out = {
            "facts": replace("facts", table, {"status": status, "canonical_id": canonical}),
            "links": from_rows("links", links),
        }
        counters = {"in": table.num_rows, "out": table.num_rows, "duplicates": len(links)}
        if self.judge == "verdicts":
            counters["same_refused"] = refused
        return StepResult(out, counters)

    def _judge(
        self,
        scope: tuple[Any, ...],
        rows: list[int],
        column: dict[str, list[Any]],
        periods: Mapping[int, Period],
        vectors: TextVectors,
        told: Sameness,
    ) -> dict[int, _Verdict]:
        repeats = exact_repeats(rows, column, periods) if self.exact else {}
        new = [row for row in rows if repeats.get(row, row) == row]
        comparable: dict[Hashable, list[int]] = {}
        for row in new:
            if row not in told.same:
                value = (column["value"][row] or "").casefold()
                guarded = guard(column["text"][row], column["entities"][row])
                key = (voice(row, column, periods), value, guarded)
                comparable.setdefault(key, []).append(row)
        verdicts: dict[int, _Verdict] = {}
        for members in comparable.values():
            texts = [column["text"][row] for row in members]
            found = vectors.get(scope, texts) if len(members) > 1 else vectors.check(scope, texts)
            if found is not None:
                verdicts |= self._near(members, found, column, told)
        return _followed(rows, repeats, told, verdicts)

    def _near(
        self, rows: list[int], vectors: Vectors, column: dict[str, list[Any]], told: Sameness
    ) -> dict[int, _Verdict]:
        """Compare comparable rows, given in event order; `vectors` has a row for each."""
        verdicts: dict[int, _Verdict] = {}
        canonical: list[int] = []
        kept = np.empty_like(vectors)  # of the canonical rows
        for start in range(0, len(rows), _BLOCK):
            block = vectors[start : start + _BLOCK]
            known = len(canonical)
            # Candidates among earlier canonical rows, and within the block itself.
            before = block @ kept[:known].T >= self.threshold - _MARGIN
            within = block @ block.T >= self.threshold - _MARGIN
            fresh = np.zeros(len(block), np.bool_)
            for offset in range(len(block)):
                at = start + offset
                near = [canonical[i] for i in np.flatnonzero(before[offset])]
                near += (start + np.flatnonzero(within[offset] & fresh)).tolist()
                if told.apart:
                    near = [i for i in near if (rows[at], rows[i]) not in told.apart]
                verdict = self._best(at, near, rows, vectors, column) if near else None
                if verdict is None:
                    kept[len(canonical)] = vectors[at]
                    canonical.append(at)
                    fresh[offset] = True
                else:
                    verdicts[rows[at]] = verdict
        return verdicts

    def _best(
        self,
        at: int,
        near: list[int],
        rows: list[int],
        vectors: Vectors,
        column: dict[str, list[Any]],
    ) -> _Verdict | None:
        scores = np.round(exact_dots(vectors[at], vectors[near]), 4)
        ranked = sorted(zip((-scores).tolist(), near, strict=True))
        for negative, other in ranked[: self.neighbours]:
            if -negative < round(self.threshold, 4):
                return None
            if self._agree(rows[at], rows[other], column):
                return _Verdict(rows[other], -negative, "cosine")
        return None

    def _agree(self, row: int, other: int, column: dict[str, list[Any]]) -> bool:
        text = column["text"]
        if shared_words(text[row], text[other]) < self.overlap:
            return False
        return _times_agree(row, other, column)


def _times_agree(row: int, other: int, column: dict[str, list[Any]]) -> bool:
    start = column["occurred_start"]
    if start[row] is None or start[other] is None:
        return start[row] is None and start[other] is None
    return not times_apart(row, other, column)


def _followed(
    rows: list[int], repeats: Mapping[int, int], told: Sameness, near: Mapping[int, _Verdict]
) -> dict[int, _Verdict]:
    """All verdicts by row, each on a canonical row: what repeats a duplicate goes where it does."""
    verdicts = dict(near)
    place = {row: at for at, row in enumerate(rows)}
    for row in rows:
        earlier = repeats.get(row, row)
        if earlier != row:
            verdicts[row] = verdicts.get(earlier) or _Verdict(earlier, 1.0, "exact")
        elif row in told.same:
            found = [
                _Verdict(verdicts[same.row].canonical, same.score, "model")
                if same.row in verdicts
                else _Verdict(same.row, same.score, "model")
                for same in told.same[row]
            ]
            verdicts[row] = min(found, key=lambda verdict: place[verdict.canonical])
    return verdicts


def _link(scope: tuple[Any, ...], source: str, target: str, verdict: _Verdict) -> dict[str, Any]:
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", "same", source, target),
        "type": "same",
        "source_id": source,
        "target_id": target,
        "score": verdict.score,
        "method": verdict.method,
        "step": "near_duplicates",
    }
