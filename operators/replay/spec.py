"""The `replay:` section of a pipeline: how raw history is kept for answers, and who answers.

Nothing here decides what memory holds: KV caches are derived files that can be dropped and
made again, so this section is in no fingerprint of a step.
"""

import json
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.llm.packaged.resolve import SMOLLM2
from schemas.ids import content_hash

ScorerName = Literal["keydiff", "snapkv", "patch_prompt", "expected_attention", "streaming"]
SelectionName = Literal["per_head", "shared", "composite"]
LayerBudgetName = Literal["uniform", "sensitivity", "cake", "zigzag"]
MergerName = Literal["none", "gaussian"]
Precision = Literal["float32", "bfloat16", "int8"]


class EpisodeSpec(BaseModel):
    """How a conversation is cut into episodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(default=4, ge=1, le=64, description="Messages in a window.")
    clusters: int = Field(default=4, ge=1, le=64, description="Topics an era is cut into.")
    anchors: int = Field(
        default=64, ge=1, le=4_096, description="First windows of an era, which decide its topics."
    )
    era: int = Field(
        default=256, ge=8, le=65_536, description="Windows after which the next era may begin."
    )
    max_chars: int = Field(
        default=24_000, ge=1_000, le=10_000_000, description="Longest text of an episode."
    )
    patch_windows: int = Field(
        default=4, ge=1, le=32, description="Windows nearest to the centre, for the patch prompt."
    )


class ReplaySpec(BaseModel):
    """How raw history is compressed and replayed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        default=SMOLLM2,
        min_length=1,
        max_length=512,
        description="Packaged name, folder with weights, or hub name.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Arithmetic of the model."
    )
    episodes: EpisodeSpec = Field(default=EpisodeSpec(), description="Cutting into episodes.")
    scorer: ScorerName = Field(default="patch_prompt", description="How tokens are scored.")
    selection: SelectionName = Field(default="per_head", description="Which tokens are kept.")
    layers: LayerBudgetName = Field(default="uniform", description="Share of each layer.")
    merge: MergerName = Field(default="none", description="What becomes of the others.")
    ratio: float = Field(default=4.0, ge=1, le=1_000, description="Tokens per kept token.")
    min_tokens: int = Field(default=128, ge=1, description="Kept of each episode, at least.")
    block: int = Field(default=512, ge=16, le=65_536, description="Tokens prefilled at once.")
    sinks: int = Field(default=4, ge=0, le=1_024, description="First tokens, always kept.")
    precision: Precision = Field(default="float32", description="Of the stored tensors.")
    engine: Literal["auto", "vllm", "transformers"] = Field(
        default="auto", description="Who answers; auto takes vLLM where it pays."
    )
    max_answer_tokens: int = Field(default=64, ge=1, le=4_096, description="Longest answer.")
    actors: int = Field(default=0, ge=0, le=1_000, description="Ray actors; 0: in this process.")
    gpus: float = Field(default=0.0, ge=0, description="GPUs of each actor.")
    kv_cache_gib: float = Field(default=1.0, gt=0, description="vLLM's KV cache on CPU, in GiB.")

    COMPRESSION: ClassVar[tuple[str, ...]] = (
        *("dtype", "scorer", "selection", "layers", "merge"),
        *("ratio", "min_tokens", "block", "sinks", "precision"),
    )
    """Fields that decide the tensors, beside the model's fingerprint and the episode."""

    @property
    def compression(self) -> dict[str, Any]:
        """What decides the tensors, in JSON form."""
        return self.model_dump(mode="json", include=set(self.COMPRESSION))

    @property
    def compression_id(self) -> str:
        """Hash of `compression`."""
        return content_hash("compression", json.dumps(self.compression, sort_keys=True))

    def budget(self, tokens: int) -> int:
        """Kept tokens per layer and head of an episode with so many tokens."""
        return min(tokens, max(self.min_tokens, self.sinks + 1, round(tokens / self.ratio)))
