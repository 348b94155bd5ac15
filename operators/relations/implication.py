"""`implies`: one statement follows from the other.

Either by what attributes mean (who has a wife is not single), or because a neighbouring
statement says so ("which means", "therefore"). Method `...:target_implies_source` where the
earlier is the reason to believe the later, and the other way round.
"""

from operators.relations.verdict import Pair, Verdict

_MEANS = (("which", "means"), ("that", "means"), ("this", "means"), ("in", "other", "words"))
_THEREFORE = frozenset({"therefore", "thus", "hence", "consequently"})

_TAKEN = frozenset({"married", "engaged"})
# (attribute, its values or None for any) implies (attribute, its values). Only what holds by
# the sense of the words, for the same subject.
ATTRIBUTE_IMPLICATIONS: tuple[
    tuple[str, frozenset[str] | None, str, frozenset[str] | None], ...
] = (
    ("partner", None, "relationship_status", _TAKEN),
    ("job_title", frozenset({"student", "phd student"}), "school", None),
    ("employer", None, "job_title", None),
    ("diet", frozenset({"vegan"}), "dislikes", frozenset({"meat", "eggs", "cheese", "fish"})),
    ("allergy", None, "dislikes", None),
)


def by_attribute(pair: Pair) -> Verdict | None:
    """An attribute of a subject implies another, by `ATTRIBUTE_IMPLICATIONS`."""
    one, other = pair.earlier.triple, pair.later.triple
    if one is None or other is None or one[0] != other[0]:
        return None
    if _implied(one, other):
        return Verdict("implies", 1.0, "attribute:target_implies_source")
    if _implied(other, one):
        return Verdict("implies", 1.0, "attribute:source_implies_target")
    return None


def by_connective(pair: Pair) -> Verdict | None:
    """The later follows the earlier and begins with "which means", "therefore"."""
    if not pair.neighbours:
        return None
    for clause in pair.later.clauses[:2]:
        if clause.asks:
            return None
        if clause.opener in _THEREFORE or clause.words[0] in _THEREFORE:
            return Verdict("implies", pair.cosine, "therefore:target_implies_source")
        said = (clause.opener, *clause.words) if clause.opener else clause.words
        if any(said[: len(words)] == words for words in _MEANS):
            return Verdict("implies", pair.cosine, "which_means:target_implies_source")
        if len(clause.words) > 1:  # not the name of the speaker
            return None
    return None


def _implied(reason: tuple[str, str, str], claim: tuple[str, str, str]) -> bool:
    for attribute, values, implied, claims in ATTRIBUTE_IMPLICATIONS:
        if (
            reason[1] == attribute
            and claim[1] == implied
            and (values is None or reason[2] in values)
            and (claims is None or claim[2] in claims)
        ):
            return True
    return False
