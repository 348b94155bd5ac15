"""Methods that the fidelity benchmark compares."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from operators.replay.spec import (
    LayerBudgetName,
    MergerName,
    Precision,
    ReplaySpec,
    ScorerName,
    SelectionName,
)

SCORERS: tuple[ScorerName, ...] = get_args(ScorerName)
_STORED_AT = 4.0


@dataclass(frozen=True)
class Variant:
    """A method at one ratio.

    Attributes:
        title: what the row of the table is called.
        spec: the method, its ratio, and how tensors are stored.
        rerotate: False leaves kept keys at the positions they had.
    """

    title: str
    spec: ReplaySpec
    rerotate: bool = True


def scorer_variants(base: ReplaySpec, ratios: Sequence[float]) -> list[Variant]:
    """Every scorer, with the same selection, layer budgets and merger."""
    return [
        Variant(scorer, _with(base, scorer=scorer, ratio=ratio))
        for scorer, ratio in itertools.product(SCORERS, ratios)
    ]


def ceiling(base: ReplaySpec) -> Variant:
    """Nothing evicted: the full cache, prefilled block by block."""
    return Variant("full cache", _with(base, ratio=1.0))


def part_variants(base: ReplaySpec, ratios: Sequence[float]) -> list[Variant]:
    """Every other selection, layer budget and merger in `base`, one at a time."""
    choices = (
        ("selection", get_args(SelectionName)),
        ("layers", get_args(LayerBudgetName)),
        ("merge", get_args(MergerName)),
    )
    return [
        Variant(f"{part}: {name}", _with(base, ratio=ratio, **{part: name}))
        for part, names in choices
        for name in names
        if name != getattr(base, part)
        for ratio in ratios
    ]


def product_variants(base: ReplaySpec, ratios: Sequence[float]) -> list[Variant]:
    """Every scorer with every selection, layer budget and merger."""
    parts = (SCORERS, get_args(SelectionName), get_args(LayerBudgetName), get_args(MergerName))
    return [
        Variant(
            " + ".join(names),
            _with(base, ratio=ratio, **dict(zip(_PARTS, names, strict=True))),
        )
        for names in itertools.product(*parts)
        for ratio in ratios
    ]


def stored_variants(base: ReplaySpec) -> list[Variant]:
    """The whole cache and one at 4x as they come back from the store; and without re-rotation."""
    precisions = [name for name in get_args(Precision) if name != "float32"]
    whole, cut = ceiling(base).spec, _with(base, ratio=_STORED_AT)
    stored = [
        Variant(f"{title}, {name}", _with(spec, precision=name))
        for title, spec in (("full cache", whole), ("compressed 4x", cut))
        for name in precisions
    ]
    return [
        *stored[: len(precisions)],
        Variant("compressed 4x, float32", cut),
        *stored[len(precisions) :],
        Variant("compressed 4x, not re-rotated", cut, rerotate=False),
    ]


_PARTS = ("scorer", "selection", "layers", "merge")


def _with(spec: ReplaySpec, **changes: Any) -> ReplaySpec:
    return ReplaySpec.model_validate(spec.model_dump() | changes)
