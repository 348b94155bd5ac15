"""A model folder with a longer window, so that engines read more than the model was made for."""

import json
from pathlib import Path

_CONFIG = "config.json"


def with_window(model: Path, tokens: int, to: Path) -> Path:
    """`to`: links to the files of `model`, with a configuration that allows `tokens` tokens.

    Times past the model's own window are as they would be; answers are not worth reading.
    """
    to.mkdir()
    for file in model.iterdir():
        if file.name != _CONFIG:
            (to / file.name).symlink_to(file.resolve())
    config = json.loads((model / _CONFIG).read_text("utf-8"))
    config["max_position_embeddings"] = max(tokens, config["max_position_embeddings"])
    (to / _CONFIG).write_text(json.dumps(config), "utf-8")
    return to
