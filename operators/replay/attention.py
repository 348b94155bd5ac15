"""The attention that replay models run: causal from the end, with a look for scorers after it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from operators.replay.engines.base import ReplayEngineError
from operators.replay.layer_view import LayerView
from operators.replay.rotary import Rotary

NAME = "memoryflow"
"""Of the attention in transformers' registry. It is in no registry of mask functions, so
transformers makes no mask: which keys a query sees follows from the lengths alone."""

Observer = Callable[[LayerView], None]


@dataclass(frozen=True)
class Step:
    """What one forward pass tells the attention of every layer.

    Attributes:
        start: position of the first query.
        rotary: the model's rotary embedding.
        observe: called in each layer after its attention.
    """

    start: int
    rotary: Rotary
    observe: Observer | None = None


def attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Causal attention in which the last query sees all keys: (1, query_heads, m, head_dim).

    Query i of m sees keys 0 .. n - m + i, so layers may hold caches of different lengths.
    Never holds (heads, m, n) logits where the platform has a fused kernel.

    Args:
        queries: (1, query_heads, m, head_dim).
        keys: (1, kv_heads, n, head_dim), n >= m.
        values: (1, kv_heads, n, head_dim).
        scaling: factor of the logits.
    """
    asked, held = queries.shape[2], keys.shape[2]
    groups = queries.shape[1] // keys.shape[1]
    mask = None
    if 1 < asked < held:
        seen = torch.ones(asked, held, dtype=torch.bool, device=queries.device)
        mask = seen.tril(diagonal=held - asked)
    return scaled_dot_product_attention(
        queries,
        # The fused CPU kernel takes no groups; a copy of the keys is small beside the logits.
        keys.repeat_interleave(groups, dim=1),
        values.repeat_interleave(groups, dim=1),
        attn_mask=mask,
        is_causal=asked == held and asked > 1,
        scale=scaling,
    )


def replay_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """The attention in the form that transformers calls; `replay_step` comes with the forward.

    Raises:
        ReplayEngineError: the model wants something that this attention does not do.
    """
    step = given.get("replay_step")
    if not isinstance(step, Step) or attention_mask is not None:
        raise ReplayEngineError(
            f"replay: {type(module).__name__} does not pass a forward pass's own arguments on to "
            "its attention; take a Llama, Qwen or Mistral model"
        )
    for unknown in ("sliding_window", "softcap", "s_aux"):
        if given.get(unknown) is not None:
            raise ReplayEngineError(
                f"replay: {type(module).__name__} attends with {unknown}, which compressed caches "
                "do not support; take a model with plain full attention"
            )
    answer = attend(query, key, value, scaling)
    if step.observe is not None:
        step.observe(_view(int(getattr(module, "layer_idx")), query, key, value, scaling, step))  # noqa: B009
    return answer.transpose(1, 2).contiguous(), None


def _view(
    layer: int,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    step: Step,
) -> LayerView:
    asked = query.shape[2]
    return LayerView(
        layer=layer,
        keys=key[0],
        values=value[0],
        queries=query[0],
        query_positions=torch.arange(step.start, step.start + asked, device=query.device),
        scaling=scaling,
        rotary=step.rotary,
        offset=step.start + asked - key.shape[2],
    )


ALL_ATTENTION_FUNCTIONS.register(NAME, replay_attention)
