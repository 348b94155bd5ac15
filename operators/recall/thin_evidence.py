"""Thin evidence: whether a search is likely to have missed what a question rests on.

Method: the quality gates of HyMem and D-Mem, which escalate from extracted memory to the raw
history. Theirs ask a language model; this one reads the scores. The fused score is fitted as
the logit of a softmax (see `fusion`), so the share of the softmax that lies past the results
which are shown is how much of the evidence is expected there.
"""

from collections.abc import Sequence

import numpy as np

REPLAY = "replay"
"""`kind` and `tier` of an answer from the raw history among the results of a search."""

SEEN = 10
"""Results that a reader takes in."""
CANDIDATES = 50
"""Results that the share is taken of."""
THIN = 0.25
"""Share past the first `SEEN` from which evidence is thin.

On the three dev sets together (909 questions, deep tier, all channels) it holds for 28% of them:
of these, 62% miss a message of their evidence in the ten results of the deep search, and it
holds for 62% of all that do (28% at random); of those that miss all of it, for 75%. Area under
the ROC curve 0.83; flatness of the ten best has 0.79, the best score 0.77 (it is not on one
scale for chat and long answers), the share of the question's terms in the results 0.63.
"""


def unseen_share(scores: Sequence[float]) -> float:
    """Share of the softmax over the first `CANDIDATES` scores that lies past the first `SEEN`.

    Args:
        scores: fused scores, the best first.

    0 where there is nothing past them; rounded to four digits.
    """
    candidates = np.asarray(scores[:CANDIDATES], np.float64)
    if candidates.size <= SEEN:
        return 0.0
    mass = np.exp(candidates - candidates.max())
    return round(float(mass[SEEN:].sum() / mass.sum()), 4)


def is_thin(scores: Sequence[float]) -> bool:
    """Whether the raw history should be asked: nothing was found, or much lies past it.

    Args:
        scores: fused scores of at least `CANDIDATES` results where there are so many, the best
            first, all channels on.
    """
    return not scores or unseen_share(scores) >= THIN
