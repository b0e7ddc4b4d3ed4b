"""A rate, and the line of those who must wait for it: arithmetic in seconds since the epoch. Nothing here waits.

Rules, in order:

1. A bucket is the generic cell rate algorithm (ITU-T I.371): so many a second, so many at once after a rest.
2. Who must wait is told a time in the line, the next one the time after it: a bulk that meets a slow domain is put off
   about once each, and comes back spread over the time it takes.
3. Times in the line are whole seconds, so that the ledger's sweep takes those of one second together; the bucket holds
   two seconds' worth for them.
4. The line is at most `HORIZON` long. Who finds it longer is spread evenly over its second half and asks again then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import ceil

__all__ = ["HORIZON", "Bucket", "Line", "Rank"]

HORIZON = 4 * 3600.0
GOLDEN = 0.6180339887498949  # its multiples, taken modulo 1, fill an interval evenly at any number
HAIR = 1e-6  # what floats may be off


class Rank(IntEnum):
    """Whom a mail goes before. TO_ONE is a single letter that somebody waits for (a confirmation), no broadcast."""

    BULK = 0
    URGENT = 1
    TO_ONE = 2


@dataclass(slots=True)
class Bucket:
    """`due` is the theoretical arrival time. The rate is passed in, since it changes."""

    due: float = 0.0

    def free_at(self, now: float, rate: float, burst: float) -> float:
        """When one may go; `now` if at once."""
        when = self.due - (burst - 1) / rate
        return when if when > now + HAIR else now

    def take(self, now: float, rate: float) -> None:
        """One goes now."""
        self.due = max(self.due, now) + 1 / rate

    def bound(self, now: float, longest: float) -> None:
        """After a clock that was set back, what is due lies no further ahead than it could."""
        self.due = min(self.due, now + longest)


@dataclass(slots=True)
class Line:
    """Where the line ends, and how many did not fit into it."""

    ends: float = 0.0
    beyond: int = 0

    def book(self, now: float, first: float, step: float, gap: float = 0.0) -> float:
        """A place: not before `first`, and `step` seconds behind the one before it, `gap` more behind the first."""
        if self.ends > max(now, first) + 2 * HORIZON:  # the clock was set back
            self.ends = now
        if self.ends + step <= first:
            self.ends = first + gap
            return float(ceil(first))
        if self.ends + step <= max(now, first) + HORIZON:
            self.ends += step
            return float(ceil(self.ends))
        self.beyond += 1
        share = self.beyond * GOLDEN % 1.0
        return float(ceil(max(now, first) + HORIZON / 2 + share * HORIZON / 2))
