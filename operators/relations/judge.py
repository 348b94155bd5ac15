"""Judges: what one fact is to an earlier one.

A judge is part of the YAML of the step `relate`, chosen by `kind`. It gets all pairs of a
call at once, so that one by a model can send them as a batch.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.relations import (
    accumulation,
    causation,
    contradiction,
    extension,
    implication,
    refinement,
    transformation,
)
from operators.relations.verdict import STRENGTH, Pair, Relation, Rule, Verdict

RULES: dict[Relation, tuple[Rule, ...]] = {
    "contradicts": (
        contradiction.unordered_values,
        contradiction.unchanging_value,
        contradiction.polarity_flip,
        contradiction.opposite_liking,
        contradiction.never_but_did,
    ),
    "transforms": (
        transformation.no_longer,
        transformation.switched,
        transformation.changed_mind,
        transformation.corrected,
        transformation.other_number,
        transformation.first_time,
    ),
    "causes": (causation.opening, causation.reason, causation.result),
    "implies": (implication.by_attribute, implication.by_connective),
    "refines": (refinement.more_specific,),
    "accumulates": (accumulation.another_value, accumulation.another_time),
    "extends": (extension.same_topic,),
}


_RELATIONS: dict[str, Relation] = {name: name for name in STRENGTH}
"""By the names that models give them."""


class Judge(Protocol):
    """Gives verdicts on pairs of facts."""

    def judge(self, pairs: Sequence[Pair], models: Models) -> list[Verdict | None]:
        """A verdict or none for each pair, whatever other pairs are in the call."""
        ...


class RuleJudge(BaseModel):
    """Verdicts by rule: `RULES`, from the strongest relation on.

    Attributes:
        relations: which relations to look for; the strongest that holds is taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rules"] = "rules"
    relations: tuple[Relation, ...] = STRENGTH

    def judge(self, pairs: Sequence[Pair], models: Models) -> list[Verdict | None]:
        """Try the rules on each pair."""
        del models
        wanted = frozenset(self.relations)
        rules = tuple(rule for name in STRENGTH if name in wanted for rule in RULES[name])
        return [self._first(pair, rules) for pair in pairs]

    @staticmethod
    def _first(pair: Pair, rules: tuple[Rule, ...]) -> Verdict | None:
        for rule in rules:
            verdict = rule(pair)
            if verdict is not None:
                # What supersedes needs no second word, but that nothing orders the two.
                conflict = verdict.type == "contradicts"
                return verdict if conflict or not pair.superseded else None
        return None


class VerdictJudge(BaseModel):
    """Verdicts of a model, as an earlier step has recorded them.

    What the model calls the same, replaced or unrelated has no relation. A pair of which the
    later ended the validity of the earlier needs no second word but where rules see a
    conflict. The method of the link is `model`, its score the cosine.

    Attributes:
        otherwise: who judges the pairs that the model was not asked about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["verdicts"] = "verdicts"
    otherwise: Literal["rules", "none"] = "rules"

    def judge(self, pairs: Sequence[Pair], models: Models) -> list[Verdict | None]:
        """The recorded verdicts, and those of the rules on the other pairs."""
        rest: Sequence[Verdict | None] = [None] * len(pairs)
        if self.otherwise == "rules":
            rest = RuleJudge().judge(pairs, models)
        return [
            rule if pair.recorded is None or pair.superseded else _recorded(pair)
            for pair, rule in zip(pairs, rest, strict=True)
        ]


def _recorded(pair: Pair) -> Verdict | None:
    relation = _RELATIONS.get(pair.recorded or "")
    return None if relation is None else Verdict(relation, pair.cosine, "model")


AnyJudge = Annotated[RuleJudge | VerdictJudge, Field(discriminator="kind")]
