"""Settings shared by all tests."""

from hypothesis import HealthCheck, settings

from tests.effort import LONGER
from tests.replay_installed import REPLAY_MISSING

# Deadlines measure the machine, not the code; derandomised, so that CI repeats what a
# developer saw.
settings.register_profile(
    "memoryflow",
    deadline=None,
    derandomize=True,
    max_examples=50 * LONGER,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("memoryflow")


def pytest_report_header() -> str:
    """Says what is left out: `make setup` alone has no torch, `make setup-llm` has."""
    if not REPLAY_MISSING:
        return "replay: tested"
    return f"replay: its tests are left out, {', '.join(REPLAY_MISSING)} not installed"
