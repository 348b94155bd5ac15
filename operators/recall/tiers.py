"""Tiers: a profile look-up, the targeted search, and a deep one where that is unsure.

Method: HyMem, MemFlow: the cheap tier first, a quality gate that escalates, and a router by
what the question asks for. The router is rules; nothing here needs a model but the embedder.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from operators.base import Vectors
from operators.recall.conversation_index import Question
from operators.recall.fusion import OFF_BY_DEFAULT
from operators.recall.profile import ProfileHit, ProfileIndex
from operators.recall.searcher import Result, Searcher
from operators.recall.terms import terms

AUTO, PROFILE, TARGETED, DEEP = TIERS = ("auto", "profile", "targeted", "deep")

PROFILE_THRESHOLD = 0.5
"""Score (confidence x share asked for) from which `auto` trusts a profile.

On locomo_dev 3 of 3 from here on rest on the question's evidence, below it none of 5 to 0.3.
"""
MOST_PROFILES = 3
"""Values of an attribute that are shown at most: three pets, say."""
FLAT = 0.85
"""Normalised entropy of the ten best scores from which `auto` goes deep.

The fused score is fitted as the logit of a softmax, so its entropy says how unsure the
search is: recall@10 is 89% below and 52% above on locomo_dev, 83% and 42% on beam_dev.
"""
DEEP_CONTEXT = 1
"""Messages before and after each result of a deep search, at least."""
_JUDGED = 10
_FEEDBACK_RESULTS = 3
_FEEDBACK_WEIGHT = 0.3
_FEEDBACK_TERMS = 4
_CANDIDATES = 50
_RRF_K = 60

Embed = Callable[[Sequence[str]], Vectors]


class TieredSearcher:
    """A searcher with the tiers around it.

    profile: what is known of the person asked about (see `ProfileIndex`) comes first; the
    targeted results follow. The profile takes the place of the result of its best evidence,
    so it costs no other result its place where that was among them.
    deep: all channels, also those off by default; then once more with the terms and the
    vector of the best three results added (pseudo-relevance feedback, Rocchio 1971), both
    rankings fused by reciprocal rank (https://doi.org/10.1145/1571941.1572114).
    auto: profile where one answers, then targeted, then deep where the scores are flat.

    Args:
        searcher: the search proper.
        personas: rows with the columns `profile.LOOKED_UP`.
        embed: gives vectors of texts; deep embeds the texts of three results.
        as_of: as given to the searcher.
    """

    def __init__(
        self,
        searcher: Searcher,
        personas: Sequence[dict[str, Any]],
        embed: Embed,
        *,
        as_of: datetime | None = None,
    ):
        self.searcher = searcher
        self._embed = embed
        facts = {f["fact_id"]: f for f in searcher.index.facts}
        self._evidence = {
            row["persona_id"]: [facts[e] for e in row["evidence"] if e in facts] for row in personas
        }
        known = [row for row in personas if self._evidence[row["persona_id"]]]
        self._profiles = ProfileIndex(known, _users(searcher), as_of)

    def search(
        self,
        question: Question,
        k: int = 10,
        tier: str = AUTO,
        without: Collection[str] = (),
        also: Collection[str] = (),
    ) -> list[Result]:
        """The `k` best memories by the tier, each marked with the tier that found it."""
        profiles: list[ProfileHit] = []
        if tier in (AUTO, PROFILE):
            least = PROFILE_THRESHOLD if tier == AUTO else 0.0
            found = self._profiles.look_up(question.text, MOST_PROFILES)
            profiles = [hit for hit in found if hit.score >= least]
        if tier == DEEP:
            return self._deep(question, k, without)
        results = self.searcher.search(question, max(k, _JUDGED), without, also)
        if tier == AUTO and not profiles and flatness(results) > FLAT:
            return self._deep(question, k, without)
        return self._with_profiles(profiles, results)[:k]

    def _deep(self, question: Question, k: int, without: Collection[str]) -> list[Result]:
        count = max(k, _CANDIDATES)
        first = self.searcher.search(question, count, without, OFF_BY_DEFAULT)
        fed_back = self._with_feedback(question, first[:_FEEDBACK_RESULTS])
        second = self.searcher.search(fed_back, count, without, OFF_BY_DEFAULT)
        return [replace(result, tier=DEEP) for result in reciprocal_ranks(first, second)[:k]]

    def _with_feedback(self, question: Question, best: Sequence[Result]) -> Question:
        """The question, moved towards its best results: Rocchio's rule on vector and terms."""
        if not best:
            return question
        texts = [result.text for result in best]
        vector = question.vector + _FEEDBACK_WEIGHT * np.mean(self._embed(texts), axis=0)
        length = float(np.linalg.norm(vector)) or 1.0
        known = set(terms(question.text))
        counts = Counter(t for text in texts for t in sorted(set(terms(text)) - known))
        # A term of one result alone is as likely to be off the point.
        shared = sorted((-n, t) for t, n in counts.items() if n > 1)
        added = [term for _, term in shared[:_FEEDBACK_TERMS]]
        text = " ".join([question.text, *added])
        return replace(question, text=text, vector=(vector / length).astype(np.float32))

    def _with_profiles(
        self, profiles: Sequence[ProfileHit], results: Sequence[Result]
    ) -> list[Result]:
        place = {result.source_message_ids[0]: result.rank for result in results}
        first = [self._profile_result(hit, place) for hit in profiles]
        shown = {result.source_message_ids[0] for result in first}
        rest = [r for r in results if r.source_message_ids[0] not in shown]
        return [replace(r, rank=rank) for rank, r in enumerate([*first, *rest], 1)]

    def _profile_result(self, hit: ProfileHit, place: dict[str, int]) -> Result:
        """The value, with its evidence: what the search ranks best first, then by time."""
        row, facts = hit.row, self._evidence[hit.row["persona_id"]]
        sources = list(dict.fromkeys(m for f in facts for m in f["source_message_ids"]))
        sources.sort(key=lambda message: place.get(message, len(place) + 1))
        attribute = row["attribute"].replace("_", " ")
        return Result(
            rank=1,
            score=hit.score,
            kind="persona",
            id=row["persona_id"],
            text=f"{row['person']}: {attribute}: {row['value']}",
            event_time=facts[-1]["event_time"],
            source_message_ids=sources,
            conversation_id=row["conversation_id"],
            channels={"persona": hit.score},
            tenant=row["tenant"],
            tier=PROFILE,
        )


def flatness(results: Sequence[Result]) -> float:
    """Normalised entropy of the softmax over the ten best scores: 0 sure, 1 all the same."""
    scores = np.array([result.score for result in results[:_JUDGED]])
    if scores.size < 2:
        return 0.0
    share = np.exp(scores - scores.max())
    share /= share.sum()
    entropy = -float(np.sum(share * np.log(np.maximum(share, 1e-300))))
    return round(entropy / math.log(scores.size), 4)


def reciprocal_ranks(*rankings: Sequence[Result]) -> list[Result]:
    """One ranking of several, one result per message; ties go to what comes first in them."""
    scores: dict[tuple[str, str, str], float] = {}
    shown: dict[tuple[str, str, str], Result] = {}
    for ranking in rankings:
        for rank, result in enumerate(ranking, 1):
            key = result.tenant, result.conversation_id, result.source_message_ids[0]
            scores[key] = scores.get(key, 0.0) + 1.0 / (_RRF_K + rank)
            shown.setdefault(key, result)
    best = sorted(scores, key=lambda key: -round(scores[key], 6))
    return [
        replace(shown[key], rank=rank, score=round(scores[key], 6))
        for rank, key in enumerate(best, 1)
    ]


def _users(searcher: Searcher) -> frozenset[str]:
    """Who says "I" in a question: the users of an assistant."""
    messages = searcher.index.messages
    if not any(m["role"] == "assistant" for m in messages):
        return frozenset()
    return frozenset(m["speaker"] for m in messages if m["role"] == "user")
