"""Without torch (`make setup` alone) nothing here can be imported: it is left out, and said so."""

from tests.replay_installed import REPLAY_MISSING

collect_ignore_glob = ["*"] if REPLAY_MISSING else []
