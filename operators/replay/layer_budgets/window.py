"""What the last queries see of the tokens before them."""

import torch

from operators.replay.layer_view import LayerView


def older_attention(view: LayerView, window: int) -> torch.Tensor:
    """Attention of the last `window` queries to the keys before the first of them.

    (query_heads, queries, older keys), float32: rows sum to less than 1, as the window takes
    its own share. Queries of a patch prompt stand behind all keys: all are older.
    """
    attention = view.attention(last=window)
    first = int(view.query_positions[-attention.shape[1]])
    return attention[:, :, : max(0, first - view.offset)]
