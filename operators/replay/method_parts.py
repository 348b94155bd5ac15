"""From the names in a `replay:` section to the parts of a compression method."""

from functools import cache

from operators.replay.layer_budgets.base import LayerBudget
from operators.replay.layer_budgets.cake import Cake
from operators.replay.layer_budgets.sensitivity import Sensitivity
from operators.replay.layer_budgets.sensitivity_profile import (
    calibration_text,
    measure_similarities,
)
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.layer_budgets.zigzag import ZigZag
from operators.replay.mergers.base import Merger
from operators.replay.mergers.gaussian import Gaussian
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.scorers.base import Scorer
from operators.replay.scorers.expected_attention import ExpectedAttention
from operators.replay.scorers.keydiff import KeyDiff
from operators.replay.scorers.patch_prompt import PatchPrompt
from operators.replay.scorers.snapkv import SnapKv
from operators.replay.scorers.streaming import Streaming
from operators.replay.selections.base import Selection
from operators.replay.selections.composite import Composite
from operators.replay.selections.per_head import PerHead
from operators.replay.selections.shared import Shared
from operators.replay.spec import (
    LayerBudgetName,
    MergerName,
    ReplaySpec,
    ScorerName,
    SelectionName,
)

SCORERS: dict[ScorerName, type[Scorer]] = {
    "keydiff": KeyDiff,
    "snapkv": SnapKv,
    "patch_prompt": PatchPrompt,
    "expected_attention": ExpectedAttention,
    "streaming": Streaming,
}
SELECTIONS: dict[SelectionName, type[Selection]] = {
    "per_head": PerHead,
    "shared": Shared,
    "composite": Composite,
}
LAYER_BUDGETS: dict[LayerBudgetName, type[LayerBudget]] = {
    "uniform": Uniform,
    "sensitivity": Sensitivity,
    "cake": Cake,
    "zigzag": ZigZag,
}
MERGERS: dict[MergerName, type[Merger] | None] = {"none": None, "gaussian": Gaussian}


def method_of(spec: ReplaySpec, model: ReplayModel) -> Method:
    """The method that `spec` names.

    Cost: nothing, except that `sensitivity` prefills the calibration text twice, once per model
    and block size in this process.
    """
    merger = MERGERS[spec.merge]
    return Method(
        scorer=SCORERS[spec.scorer](),
        selection=SELECTIONS[spec.selection](),
        layers=_layers(spec, model),
        merger=None if merger is None else merger(),
        block=spec.block,
        sinks=spec.sinks,
    )


def part_versions(spec: ReplaySpec) -> tuple[str, ...]:
    """`name@version` of every part that `spec` names; they decide caches beside its own id."""
    parts = (
        SCORERS[spec.scorer],
        SELECTIONS[spec.selection],
        LAYER_BUDGETS[spec.layers],
        MERGERS[spec.merge],
    )
    return tuple("none" if part is None else f"{part.name}@{part.version}" for part in parts)


def _layers(spec: ReplaySpec, model: ReplayModel) -> LayerBudget:
    if spec.layers == "sensitivity":
        return Sensitivity(similarities=_similarities(model, spec.block))
    return LAYER_BUDGETS[spec.layers]()


@cache
def _similarities(model: ReplayModel, block: int) -> tuple[float, ...]:
    tokens = model.tokenizer(calibration_text(), add_special_tokens=False)["input_ids"]
    return measure_similarities(model, tokens, block)
