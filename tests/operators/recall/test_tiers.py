from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.recall.searcher import Result, Searcher
from operators.recall.tiers import (
    AUTO,
    DEEP,
    FLAT,
    PROFILE,
    TARGETED,
    TIERS,
    TieredSearcher,
    flatness,
    reciprocal_ranks,
)
from tests.effort import examples
from tests.operators.recall.test_profile import persona
from tests.operators.recall.test_searcher import ask, ids, tables
from tests.operators.samples import at, fact, word_vector


def embed(texts: Sequence[str]):
    return np.stack([word_vector(text) for text in texts])


def evidence(*messages: str) -> list[str]:
    return [fact(m, 0)["fact_id"] for m in messages]


def tiered(*personas: dict[str, Any], **changes: Any) -> TieredSearcher:
    return TieredSearcher(Searcher(tables()), personas, embed, **changes)


SHOP = persona("Ann", "favourite_shop", "the violin shop", evidence=evidence("m5", "m3"))
ASKED = ask("What is Ann's favourite shop?")


def test_profile_comes_first_with_its_evidence() -> None:
    first, *rest = results = tiered(SHOP).search(ASKED, 3)
    assert (first.kind, first.id, first.tier) == ("persona", SHOP["persona_id"], PROFILE)
    assert first.text == "Ann: favourite shop: the violin shop"
    assert set(first.source_message_ids) == {"m3", "m5"}
    assert first.channels == {"persona": first.score}
    assert {r.tier for r in rest} == {TARGETED}
    assert [r.rank for r in results] == [1, 2, 3]


def test_profile_takes_the_place_of_its_best_evidence() -> None:
    plain = tiered().search(ASKED, 5, TARGETED)
    best = next(m for m in ids(plain) if m in ("m3", "m5"))
    with_profile = tiered(SHOP).search(ASKED, 5)
    assert ids(with_profile) == [best, *(m for m in ids(plain) if m != best)]


def test_auto_needs_a_sure_profile_and_profile_takes_any() -> None:
    unsure = SHOP | {"confidence": 0.2}
    assert {r.kind for r in tiered(unsure).search(ASKED, 3)} <= {"fact", "message"}
    assert tiered(unsure).search(ASKED, 3, PROFILE)[0].kind == "persona"
    assert tiered(SHOP).search(ASKED, 3, TARGETED) == tiered().search(ASKED, 3, TARGETED)
    assert tiered(SHOP).search(ask("boat"), 3, PROFILE)[0].tier == TARGETED


def test_profile_rests_on_what_was_said_by_then() -> None:
    searcher = Searcher(tables(), as_of=at(2.5))
    known = TieredSearcher(searcher, [SHOP], embed, as_of=at(2.5)).search(ASKED, 9)
    assert known[0].source_message_ids == ["m3"]
    later = SHOP | {"evidence": evidence("m5")}
    found = TieredSearcher(searcher, [later], embed, as_of=at(2.5)).search(ASKED, 9)
    assert "persona" not in {r.kind for r in found}


def test_flat_scores_go_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask("Did Bob mention a violin?")
    monkeypatch.setattr("operators.recall.tiers.FLAT", -1.0)
    assert {r.tier for r in tiered().search(question, 5)} == {DEEP}
    monkeypatch.setattr("operators.recall.tiers.FLAT", 1.0)
    assert {r.tier for r in tiered().search(question, 5)} == {TARGETED}


def test_deep_finds_everything_and_feeds_back_shared_terms() -> None:
    searcher = tiered()
    results = searcher.search(ask("violin"), 9, DEEP)
    assert sorted(ids(results)) == ["m1", "m2", "m3", "m4", "m5"]
    best = [r for r in results if r.source_message_ids[0] in ("m3", "m5")]
    fed_back = searcher._with_feedback(ask("violin"), best)
    assert fed_back.text == "violin shop"
    assert float(np.linalg.norm(fed_back.vector)) == pytest.approx(1, abs=1e-4)
    assert searcher._with_feedback(ASKED, []) is ASKED


def test_deep_uses_what_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    off = frozenset({"entity", "time"})
    for module in ("searcher", "tiers"):
        monkeypatch.setattr(f"operators.recall.{module}.OFF_BY_DEFAULT", off)
    question = ask("violin")
    found = {
        "plain": tiered().search(question, 1, TARGETED),
        "asked for": tiered().search(question, 1, TARGETED, also=["time"]),
        "deep": tiered().search(question, 1, DEEP),
        "deep, less": tiered().search(question, 1, DEEP, without=["time"]),
    }
    used = {name: off & set(result.channels) for name, (result,) in found.items()}
    assert used == {
        "plain": set(),
        "asked for": {"time"},
        "deep": off,
        "deep, less": {"entity"},
    }


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_to_search(tier: str) -> None:
    empty = Searcher({name: rows.slice(0, 0) for name, rows in tables().items()})
    assert TieredSearcher(empty, [SHOP], embed).search(ASKED, 3, tier) == []


@pytest.mark.parametrize("tier", TIERS)
def test_k_results_ranked_from_one(tier: str) -> None:
    for k in (1, 2, 4):
        results = tiered(SHOP).search(ASKED, k, tier)
        assert [r.rank for r in results] == list(range(1, k + 1))
        assert len(set(ids(results))) == k


def result(name: str, score: float = 0.0) -> Result:
    return Result(1, score, "message", name, name, at(0), [name], "c")


def test_flatness() -> None:
    assert flatness([result("a", 3.0)] * 10) == 1.0
    assert flatness([result("a", 90.0), result("b", 0.0)]) == 0.0
    assert flatness([result("a")]) == flatness([]) == 0.0
    assert 0 < FLAT < 1


names = st.lists(st.sampled_from("abcdef"), unique=True)


@examples(60)
@given(names, names)
def test_reciprocal_ranks(one: list[str], two: list[str]) -> None:
    rankings = [[result(name) for name in ranking] for ranking in (one, two)]
    fused = reciprocal_ranks(*rankings)
    assert sorted(ids(fused)) == sorted({*one, *two})
    assert [r.score for r in fused] == sorted((r.score for r in fused), reverse=True)
    # What both rank in the same order stays in it.
    place = {r.id: r.rank for r in fused}
    for a in set(one) & set(two):
        for b in set(one) & set(two):
            if one.index(a) < one.index(b) and two.index(a) < two.index(b):
                assert place[a] < place[b]
    assert ids(reciprocal_ranks([replace(r, rank=7) for r in rankings[0]])) == one


def test_auto_is_the_default() -> None:
    assert tiered(SHOP).search(ASKED, 3) == tiered(SHOP).search(ASKED, 3, AUTO)
