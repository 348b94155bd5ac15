"""What a plan says to the live dataflow."""

from datetime import timedelta

from operators.gap_sessions import GapSessions
from pipelines.plan import Plan
from transforms.event_time.live_runner import Windowing

_DEFAULT_GAP = timedelta(hours=6)
_LEAST = timedelta(microseconds=1)


def windowing_of(plan: Plan) -> Windowing:
    """Windows and triggers of a plan; without a gap of its own, that of its sessions."""
    spec = plan.streaming
    gap = spec.session_gap or _gap_of_sessions(plan)
    # Beam ends a session at a silence of the gap, our sessions only at a longer one.
    return Windowing(gap + _LEAST, spec.allowed_lateness, spec.early)


def _gap_of_sessions(plan: Plan) -> timedelta:
    gaps = [s.operator.gap for s in plan.steps if isinstance(s.operator, GapSessions)]
    return max(gaps, default=_DEFAULT_GAP)
