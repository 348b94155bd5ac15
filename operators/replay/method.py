"""A compression method, put together from its parts."""

from dataclasses import dataclass

from operators.replay.layer_budgets.base import LayerBudget
from operators.replay.mergers.base import Merger
from operators.replay.scorers.base import Scorer
from operators.replay.selections.base import Selection


@dataclass(frozen=True)
class Method:
    """How a cache is cut down to its budget.

    Attributes:
        scorer: what tokens are worth.
        selection: which are kept.
        layers: what each layer may keep.
        merger: what becomes of the others; None drops them.
        block: tokens prefilled at once, the patch prompt among them.
        sinks: first tokens, always kept.
        rerotate: move kept keys to contiguous positions. False only to show that it matters.
    """

    scorer: Scorer
    selection: Selection
    layers: LayerBudget
    merger: Merger | None = None
    block: int = 512
    sinks: int = 4
    rerotate: bool = True
