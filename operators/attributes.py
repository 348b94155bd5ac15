"""Which attributes hold one value at a time, and which collect values.

Extraction writes (subject, attribute, value) triples; supersession closes the former value
of a *functional* attribute when a later one is stated, and leaves set-valued ones alone.
"""

FAVOURITE_PREFIX = "favourite_"

FUNCTIONAL_ATTRIBUTES: frozenset[str] = frozenset(
    {
        "home_city",
        "employer",
        "job_title",
        "birthday",
        "age",
        "relationship_status",
        "partner",
        "diet",
        "car",
        "launch_date",
        "deadline",
        "budget",
        "owner",
        "vendor",
    }
)
"""One value at a time: the next statement about the same subject replaces the former."""

SET_VALUED_ATTRIBUTES: frozenset[str] = frozenset(
    {
        "pet",
        "allergy",
        "likes",
        "dislikes",
        "hobby",
        "language",
        "school",
        "sibling",
        "child",
    }
)
"""Values add up: a second dog does not end the first."""


def is_functional(attribute: str) -> bool:
    """Whether `attribute` holds one value at a time; `favourite_<thing>` does."""
    return attribute in FUNCTIONAL_ATTRIBUTES or attribute.startswith(FAVOURITE_PREFIX)
