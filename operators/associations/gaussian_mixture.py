"""Two-component Gaussian mixtures over many short rows of scores at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ITERATIONS = 50
_SETTLED = 1e-4  # change of a mean below which a row is done
_VARIANCE_FLOOR = 1e-4  # a standard deviation of 0.01: a component is no single score
_LOG_ODDS_LIMIT = 50.0


class Accepted(NamedTuple):
    """Which scores belong to the higher component, and which rows have two components."""

    scores: Mask
    parted: Mask


class _State(NamedTuple):
    """Of each row: weight of the higher component, and mean and variance of both."""

    weight: Floats
    mean: Floats
    variance: Floats
    low_mean: Floats
    low_variance: Floats


def upper_component(scores: Floats, counts: npt.NDArray[np.int64]) -> Accepted:
    """Fit a mixture to each row by EM and accept what its higher-mean component explains.

    `scores`, shape (rows, width), holds `counts` scores a row, falling, and any padding
    after them. EM starts from the best split into two groups (least squares) and stops for
    each row by itself. Sums run in a fixed order over the fixed width, so a row's result is
    the same bits alone and in any batch of that width; what decides is rounded to four digits.
    A component with a wide variance also claims scores beyond the other one; here a score
    must lie above the lower mean, and one at or above the higher mean is always accepted.
    Rows with fewer than two different scores have no second component: none is accepted.
    """
    rows, width = scores.shape
    valid = np.arange(width)[:, None] < counts
    # A column holds the scores of a unit: sums over them then add whole rows, which is fast.
    held: Floats = np.where(valid, np.ascontiguousarray(scores.T), 0.0)
    accepted = np.zeros((width, rows), np.bool_)
    parted = np.zeros(rows, np.bool_)
    if width < 2:
        return Accepted(accepted.T, parted)
    spread = (counts >= 2) & (held[0] > held[np.maximum(counts - 1, 0), np.arange(rows)])
    active = np.flatnonzero(spread)
    share = _best_split(held.take(active, axis=1), counts[active])
    last: Floats | None = None
    for turn in range(_ITERATIONS):
        if not len(active):
            break
        x, mask = held.take(active, axis=1), valid.take(active, axis=1)
        state = _maximise(x, mask, share, counts[active])
        odds = _log_odds(x, state)
        done = _is_done(state, last)
        whole = done if turn < _ITERATIONS - 1 else np.ones_like(done)
        at = active[whole]
        accepted[:, at] = mask[:, whole] & _decide(
            x[:, whole], odds[:, whole], _units(state, whole)
        )
        parted[at] = np.round(state.mean - state.low_mean, 4)[whole] > 0
        share = np.where(mask, 1 / (1 + np.exp(-odds)), 0.0).compress(~whole, axis=1)
        last = np.stack([state.mean, state.low_mean])[:, ~whole]
        active = active[~whole]
    return Accepted((accepted & parted).T, parted)


def _best_split(x: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """1 for the scores of the upper group of the two-means optimum, which is a prefix."""
    units = np.rint(x * 10_000)  # integers: all sums below are exact
    place = np.arange(len(x))[:, None]
    size = (place[:-1] + 1).astype(np.float64)
    rest = counts - size
    upper = np.cumsum(units, axis=0)
    between = (upper[:-1] * counts - upper[-1] * size) ** 2
    gain = np.where(rest > 0, between / (size * np.where(rest > 0, rest, 1.0)), -1.0)
    return (place <= np.argmax(gain, axis=0)).astype(np.float64)


def _maximise(x: Floats, valid: Mask, share: Floats, counts: npt.NDArray[np.int64]) -> _State:
    count = counts.astype(np.float64)
    size = np.clip(_sums(share), 1e-9, count - 1e-9)
    rest = count - size
    # Padding has no share of the upper component and value 0: it drops out of all sums but
    # that of the lower variance, where it is masked.
    upper = _sums(share * x)
    mean = upper / size
    low_mean = (_sums(x) - upper) / rest
    lower = np.where(valid, 1 - share, 0.0)
    variance = _sums(share * (x - mean) ** 2) / size + _VARIANCE_FLOOR
    low_variance = _sums(lower * (x - low_mean) ** 2) / rest + _VARIANCE_FLOOR
    return _State(size / count, mean, variance, low_mean, low_variance)


def _log_odds(x: Floats, state: _State) -> Floats:
    """Logarithm of the odds that a score is of the higher component."""
    prior = np.log(state.weight / (1 - state.weight))
    prior -= 0.5 * np.log(state.variance / state.low_variance)
    upper = (x - state.mean) ** 2 / (2 * state.variance)
    lower = (x - state.low_mean) ** 2 / (2 * state.low_variance)
    odds: Floats = np.clip(prior - upper + lower, -_LOG_ODDS_LIMIT, _LOG_ODDS_LIMIT)
    return odds


def _is_done(state: _State, last: Floats | None) -> Mask:
    if last is None:
        return np.zeros(len(state.mean), np.bool_)
    moved = np.abs(np.stack([state.mean, state.low_mean]) - last)
    done: Mask = moved.max(axis=0) < _SETTLED
    return done


def _decide(x: Floats, odds: Floats, state: _State) -> Mask:
    high, low = np.round(state.mean, 4), np.round(state.low_mean, 4)
    accepted: Mask = ((np.round(odds, 4) > 0) | (x >= high)) & (x > low)
    return accepted


def _units(state: _State, mask: Mask) -> _State:
    return _State(*(part[mask] for part in state))


def _sums(matrix: Floats) -> Floats:
    """Sums of the columns from top to bottom: `sum` may group by shape, this may not."""
    total = matrix[0].copy()
    for row in matrix[1:]:
        total += row
    return total
