"""Neighbour channel: what stands before and after a message, inside its session."""

import numpy as np

from operators.recall.bm25 import Floats, Ints


def previous(values: Floats, session: Ints) -> Floats:
    """Value of the message before, 0 at the start of a session."""
    out = np.zeros_like(values)
    same = session[1:] == session[:-1]
    out[1:][same] = values[:-1][same]
    return out


def following(values: Floats, session: Ints) -> Floats:
    """Value of the message after, 0 at the end of a session."""
    out = np.zeros_like(values)
    same = session[1:] == session[:-1]
    out[:-1][same] = values[1:][same]
    return out


def session_mean(values: Floats, session: Ints) -> Floats:
    """Mean over the session of each message."""
    if not values.size:
        return values
    return (np.bincount(session, values) / np.maximum(np.bincount(session), 1))[session]


def session_best(values: Floats, session: Ints) -> Floats:
    """Best value in the session of each message."""
    if not values.size:
        return values
    best = np.full(int(session.max()) + 1, -np.inf)
    np.maximum.at(best, session, values)
    return best[session]
