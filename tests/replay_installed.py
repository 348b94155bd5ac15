"""Whether this installation can run what replays history (the extra `replay`)."""

from importlib.util import find_spec

NEEDED = ("torch", "transformers", "safetensors", "sklearn", "threadpoolctl")
REPLAY_MISSING = [name for name in NEEDED if find_spec(name) is None]
