"""What breaks parsers: odd text, odd numbers, and JSON made of them."""

from typing import Any

from hypothesis import strategies as st

# Any code point, with those that break things more often: NUL, surrogates, marks, separators.
ODD = st.sampled_from(["\0", "\ud800", "\udcff", "\ufeff", "\u2028", "\x1b[2J", "'", '"', "\\"])
TEXT = st.one_of(st.text(max_size=20), ODD, st.builds("{}{}{}".format, ODD, st.text(), ODD))
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 2**31]),
)
TIMES = st.one_of(
    st.sampled_from(
        [
            *("2024-05-31T18:00:00Z", "2024-05-31 18:00:00+14:00", "0001-01-01T00:00:00+14:00"),
            *("9999-12-31T23:59:59.999999-14:00", "2024-02-30T00:00:00Z", "2024-05-31T24:00:00Z"),
            *("2024-05-31T18:00:60Z", "2024-05-31", "1e999999999", "-1", "NaN", "Infinity", "1_0"),
            *("9" * 30, "1717178400.123456", "8:00 am on 1 May, 2023", "2023/05/20 (Sat) 02:21"),
        ]
    ),
    TEXT,
    NUMBERS,
)


def json_values(keys: list[str]) -> st.SearchStrategy[Any]:
    """JSON in which keys that a format knows come often."""
    names = st.one_of(st.sampled_from(keys), st.text(max_size=8))
    leaves = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT, TIMES)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=5), st.dictionaries(names, inner, max_size=6)
        ),
        max_leaves=25,
    )
