"""Without torch (`make setup` alone) nothing here can be imported: it is left out, and said so."""

from collections.abc import Iterator

import pytest

from tests.replay_installed import REPLAY_MISSING

collect_ignore_glob = ["*"] if REPLAY_MISSING else []


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Threads of one operation wait for each other: with more processes than cores, for long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
