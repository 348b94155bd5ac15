"""A Ray to run on: the caller's cluster, or a local one that only this machine can reach."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import ray

from jobs.errors import EngineError

_OBJECT_STORE_BYTES = 512 * 1024 * 1024  # What does not fit is spilled to disk by Ray.


@contextmanager
def ray_session(address: str | None, workers: int) -> Generator[None]:
    """Connect to `address`, or start a local Ray; shut down again what was started.

    Raises:
        EngineError: Ray does not start or cannot be reached.
    """
    try:
        if address is None:
            _start_local(workers)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, OSError, TimeoutError) as error:
        where = f"the cluster at {address}" if address else "a local Ray"
        raise EngineError(
            f"Ray: {where} cannot be used: {error}. Check the address and that the cluster "
            "runs the same Ray version, or leave --address out for a local one."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start_local(workers: int) -> None:
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
    )
