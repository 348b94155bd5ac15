"""How much is tried: a little in the fast tier, more where a test is marked slow."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.effort import LONGER

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def briefly(count: int = 15) -> settings:
    """For the fast tier: milliseconds."""
    return settings(max_examples=count * LONGER, suppress_health_check=_QUIET)


def at_length(test: Callable[..., Any]) -> Callable[..., Any]:
    """The same property with many more examples, in the slow tier."""
    more = settings(max_examples=400 * LONGER, suppress_health_check=_QUIET, deadline=None)
    return pytest.mark.slow(more(test))
