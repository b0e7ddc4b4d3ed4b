"""How many letters are claimed at a time: as few as the budget can be used with.

Rules, in order:

1. One, so that a crash finds little under way; with paid broadcasts (above 50 a second) as many as an answer that takes
   200 ms makes necessary.
2. A claim and a settlement cost a synced commit each, whatever they hold. Where disk or machine are too slow for the
   budget, one more a second is claimed, up to `SPREAD` more; once slots are all used again, one less.
3. So at most `LANES` times `most` letters are under way, and that many a crash may repeat: 50 at 25 a second where the
   machine is slow and 10 where it is not, 240 at 1,000 a second.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from bots.telegram.limits import Pacer

__all__ = ["LANES", "Size", "least", "most"]

LANES = 10
SPREAD = 4
MOST_PAID = 20
STEP = timedelta(seconds=1)
PAUSE = timedelta(seconds=5)  # after a silence of this length a broadcast begins anew


def least(per_second: float) -> int:
    """What is claimed at a time where nothing is slow."""
    return max(1, min(MOST_PAID, math.ceil(per_second / 50)))


def most(per_second: float) -> int:
    """What is claimed at a time at the most."""
    return least(per_second) + SPREAD


class Size:
    """The size for one bot, moved by `look` at each sending."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._least, self._most = least(pacer.per_second), most(pacer.per_second)
        self.now = self._least
        self._looked: datetime | None = None

    def look(self, now: datetime) -> None:
        """Something is being sent: see whether the budget is used."""
        since = PAUSE if self._looked is None else now - self._looked
        if timedelta(0) <= since < STEP:
            return
        self._looked = now
        if since >= PAUSE:
            self.now = self._least
        elif self._pacer.unused(now):
            self.now = min(self.now + 1, self._most)
        elif self._pacer.used_up(now):
            self.now = max(self.now - 1, self._least)
