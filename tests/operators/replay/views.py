"""Layer views with random contents, for tests of scorers and layer budgets."""

import torch

from operators.replay.layer_view import LayerView
from operators.replay.rotary import Rotary


def rotary(rotated: int = 8) -> Rotary:
    return Rotary(10_000.0 ** -(torch.arange(0, rotated, 2).float() / rotated))


def layer_view(
    seed: int = 0,
    tokens: int = 20,
    asked: int = 6,
    kv_heads: int = 2,
    groups: int = 3,
    size: int = 8,
    rotated: int = 8,
    offset: int = 0,
    behind: int = 0,
    layer: int = 0,
) -> LayerView:
    """The last `asked` of `tokens` ask, or others `behind` positions after them."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(heads: int, count: int) -> torch.Tensor:
        return torch.randn(heads, count, size, generator=generator)

    first = offset + tokens - asked + behind
    return LayerView(
        layer=layer,
        keys=drawn(kv_heads, tokens) + 0.5,
        values=drawn(kv_heads, tokens),
        queries=drawn(kv_heads * groups, asked) + 0.3,
        query_positions=torch.arange(first, first + asked),
        scaling=size**-0.5,
        rotary=rotary(rotated),
        offset=offset,
    )


def slow_attention(view: LayerView, head: int, query: int) -> list[float]:
    """Of one query of one query head to all keys."""
    groups = view.queries.shape[0] // view.keys.shape[0]
    keys = view.keys[head // groups].double()
    position = int(view.query_positions[query])
    weights: list[float] = []
    for at, key in enumerate(keys):
        logit = float(view.queries[head, query].double() @ key) * view.scaling
        seen = at + view.offset <= position
        weights.append(float(torch.tensor(logit).double().exp()) if seen else 0.0)
    return [weight / sum(weights) for weight in weights]
