"""Whose memory a command means: never that of two tenants at once, unless it is asked for.

Tenants share a warehouse and nothing else. Ids of messages and conversations, and names, mean
something inside one tenant only, so a command that finds its target in several of them asks which.
"""

from collections.abc import Iterable

from jobs.errors import UsageError

_SHOWN = 5


def check_one_tenant(tenants: Iterable[str], what: str, fix: str = "give --tenant") -> None:
    """Pass, if all is of one tenant.

    Raises:
        UsageError: it is of several.
    """
    names = sorted(set(tenants))
    if len(names) > 1:
        shown = ", ".join(repr(name) for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        raise UsageError(f"{what} is of several tenants: {shown}{more}; {fix}")
