"""How sure and how lasting a trait is, from when and how it was said."""

import math
from collections.abc import Sequence
from itertools import pairwise

_DAY = 86_400_000_000
_HALF_DAYS = 30.0
_SUREST = 0.99


def confidence(weights: Sequence[float], clashing: int) -> float:
    """How sure a trait is: `(1 - prod(1 - w)) * n / (n + c)`, four digits.

    `weights` holds the heaviest claim of each of the n sessions; c sessions say otherwise.
    Each session is taken as a witness of its own, so repeating oneself in one adds nothing.

    >>> confidence([0.7], 0), confidence([0.7, 0.7], 0), confidence([0.7], 1)
    (0.7, 0.91, 0.35)
    """
    doubt = 1.0
    for weight in sorted(weights):
        doubt *= 1.0 - weight
    sure = min(1.0 - doubt, _SUREST)
    return round(sure * len(weights) / (len(weights) + clashing), 4)


def stability(times: Sequence[int]) -> float:
    """How long and evenly a trait was confirmed, four digits; 0 for a single session.

    `(1 - 2^(-days/30)) * (1 + evenness) / 2`, where evenness is the normalised entropy of
    the gaps between sessions (0 for two of them). `times` are first claims, ascending.

    >>> stability([0]), stability([0, 30 * 86_400_000_000])
    (0.0, 0.25)
    """
    gaps = [later - earlier for earlier, later in pairwise(times)]
    span = sum(gaps)
    if not span:
        return 0.0
    even = 0.0
    if len(gaps) > 1:
        shares = [gap / span for gap in gaps if gap]
        even = -sum(share * math.log(share) for share in shares) / math.log(len(gaps))
    lasting = 1.0 - 2.0 ** (-(span / _DAY) / _HALF_DAYS)
    return round(lasting * (1.0 + even) / 2.0, 4)
