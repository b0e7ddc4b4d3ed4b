"""An address that nobody knows yet begins with few mails, and sends twice as many each day. Pure arithmetic.

Rules, in order:

1. A day is one of the office's calendar. Its cap is `first` on the day `begins`, doubled on each day after it, until it
   is more than can be sent in a day; before `begins` nothing is held back.
2. What was taken counts, whoever it was for; what is on its way counts as taken. Only bulk is held back.
3. Who is held back is given a place on the first day that has one, spread over that day's first hours.
4. What other processes sent counts too: `_total` is what the database says, `_fresh` what it was not told yet. What is
   left of a day is divided among all (`share`), and again whenever more of it is known to be gone: who has used its
   share waits a moment, not for another day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from math import ceil

from bots.email.pace.limits import WarmUpPlan
from bots.email.pace.share import Share

__all__ = ["WarmUp"]

SPREAD = 4 * 3600.0  # seconds at the beginning of a day over which a day's mails are given their places
KEPT_DAYS = 3
DOUBLINGS = 30  # nobody's cap matters after that many days


class WarmUp:
    """`per_day` is what the global rate allows in a day: a cap above it caps nothing."""

    def __init__(self, plan: WarmUpPlan | None, per_day: float, zone: tzinfo = UTC) -> None:
        self._plan = plan
        self._per_day = per_day
        self.zone = zone if plan is None else plan.zone
        self._booked: Counter[date] = Counter()
        self._today: tuple[float, float, date] | None = None
        self.flying = 0
        self.share = Share()
        self._total: Counter[date] = Counter()
        self._fresh: Counter[date] = Counter()

    def is_over(self, now: float) -> bool:
        """Whether nothing is held back any more."""
        return self._cap(self.day(now)) is None

    def is_full(self, now: float) -> bool:
        """Whether no bulk may go today any more, whoever sends it."""
        cap = self._cap(self.day(now))
        return cap is not None and self._gone(now) >= cap

    def is_used(self, now: float) -> bool:
        """Whether our share of what is left of today is gone, and others may have some (rule 4)."""
        day = self.day(now)
        cap = self._cap(day)
        if cap is None:
            return False
        left = self.share.of_places(max(0, cap - self._total[day]))
        if self.share.among > 1:
            left = ceil(left / 2)  # what others have used meanwhile is known only when all have written once more
        return self._fresh[day] + self.flying >= left

    def _gone(self, now: float) -> int:
        day = self.day(now)
        return self._total[day] + self._fresh[day] + self.flying

    def book(self, now: float) -> float:
        """A time on the first day to come that has a place."""
        day = self.day(now)
        for old in [one for one in self._booked if one <= day]:
            del self._booked[old]
        for _ in range(DOUBLINGS):
            day += timedelta(days=1)
            cap = self._cap(day)
            share = max(1.0, self._per_day) if cap is None else cap
            if self._booked[day] < share:
                self._booked[day] += 1
                break
        begins = datetime.combine(day, time.min, self.zone).timestamp()
        return float(int(begins + SPREAD * min(1.0, self._booked[day] / share)) + 1)

    def taken(self, now: float) -> None:
        """The relay took one."""
        self._fresh[self.day(now)] += 1

    def unwritten(self) -> Mapping[date, int]:
        """What the database was not told yet, by day."""
        return dict(self._fresh)

    def written(self, day: date, number: int, total: int) -> None:
        """The database was told of so many, which makes that total."""
        self._fresh[day] -= number
        self._fresh += Counter()  # drops what is nothing
        self.know(day, max(total, self._total[day] + number))

    def know(self, day: date, total: int) -> None:
        """What the database says; a day never gets less."""
        self._total[day] = max(total, self._total[day])
        for old in sorted(self._total)[:-KEPT_DAYS]:
            del self._total[old]

    def day(self, now: float) -> date:
        """The office's date."""
        if self._today is None or not self._today[0] <= now < self._today[1]:
            zone = self.zone
            moment = datetime.fromtimestamp(now, zone)
            begins = datetime.combine(moment.date(), time.min, zone)
            ends = datetime.combine(moment.date() + timedelta(days=1), time.min, zone)
            self._today = (begins.timestamp(), ends.timestamp(), moment.date())
        return self._today[2]

    def _cap(self, day: date) -> int | None:
        plan = self._plan
        if plan is None or day < plan.begins:
            return None
        days = (day - plan.begins).days
        if days >= DOUBLINGS:
            return None
        cap = plan.first * 2**days
        return cap if cap < self._per_day else None
