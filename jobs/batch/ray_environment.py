"""Settings that Ray reads once, when it is imported: so this comes before `import ray`."""

import os
import secrets


def prepare_ray_environment(address: str | None) -> None:
    """Set what a Ray of our own needs; for a cluster (`address`) its owner's settings stand."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Sums that decide something must not depend on how many threads computed them.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if address is not None:
        return
    # Without it Ray binds its ports on all interfaces.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # Ray lowers the priority of its workers; here they are the program, not its background.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # A token of its own keeps other users of the machine out, and a token file left by
    # another Ray from turning authentication on halfway.
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
