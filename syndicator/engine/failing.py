"""How long a job that failed stays away: longer each time, an urgent one never for long."""

from __future__ import annotations

from syndicator.domain.model import Priority

__all__ = ["seconds_away"]

LONGEST = 300.0  # seconds; a job that keeps failing is tried again at least this often
LONGEST_URGENT = 5.0  # the same for embargoes, feeds and urgent messages


def seconds_away(failures: int, priority: int) -> float:
    """Seconds until the next try, after so many failures in a row (from 1 on)."""
    longest = LONGEST_URGENT if priority <= Priority.URGENT else LONGEST
    return float(min(2.0 ** min(failures - 1, 20), longest))
