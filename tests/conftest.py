"""Settings shared by all tests."""

from hypothesis import HealthCheck, settings

from tests.effort import LONGER

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
