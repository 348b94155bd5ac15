"""How many examples property tests draw: few where each is a build, more in the long form."""

import os

from hypothesis import settings

LONGER = max(1, int(os.environ.get("MEMORYFLOW_EXAMPLES", "1")))
"""Times as many examples as the fast tier draws; `MEMORYFLOW_EXAMPLES=20 pytest tests/...`."""


def examples(count: int) -> settings:
    """Settings that draw `count` examples, times `MEMORYFLOW_EXAMPLES`."""
    return settings(max_examples=count * LONGER)
