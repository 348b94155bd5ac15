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


AnyJudge = Annotated[RuleJudge, Field(discriminator="kind")]
