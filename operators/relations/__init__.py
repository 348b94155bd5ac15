"""Relations between facts: candidate pairs, rules that judge them, and the operator."""

from operators.relations.index import TypedRelations
from operators.relations.judge import Judge, RuleJudge, VerdictJudge
from operators.relations.statement import Statement, statements
from operators.relations.verdict import Pair, Verdict

__all__ = [
    "Judge",
    "Pair",
    "RuleJudge",
    "Statement",
    "TypedRelations",
    "Verdict",
    "VerdictJudge",
    "statements",
]
