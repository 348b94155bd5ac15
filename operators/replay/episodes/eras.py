"""Eras: stretches of a conversation whose topics are found once and then kept."""

from collections.abc import Sequence

from operators.replay.episodes.windows import Window
from schemas.ids import content_hash

_ONE_IN = 4


def eras_of(sessions: Sequence[Sequence[Window]], length: int) -> list[list[Window]]:
    """Whole sessions, joined to stretches of `length` windows or somewhat more.

    An era ends after a session, once it has `length` windows and the hash of the session's
    id says so (one in four does), or once it has twice as many. Ends that depend on content
    come back in step: a late session moves the next ends, not all that follow (content-
    defined chunking, Muthitacharoen et al., SOSP 2001). Deterministic.
    """
    eras: list[list[Window]] = []
    open_: list[Window] | None = None
    for session in sessions:
        if open_ is None:
            open_ = []
            eras.append(open_)
        open_.extend(session)
        full = len(open_) >= length and _may_end(session[0].session_id)
        if full or len(open_) >= 2 * length:
            open_ = None
    return eras


def _may_end(session_id: str) -> bool:
    return int(content_hash("era", session_id), 16) % _ONE_IN == 0
