"""Quiet hours: when a reader wants nothing but what is urgent. Pure.

Rules, in order:

1. Written `22-8`: from ten at night to eight in the morning, whole hours of the reader's own clock. "" is none.
2. `22-8` goes over midnight, `13-15` does not. The first hour belongs to it, the last one does not.
3. What is held goes out at the end. Where clocks change, the end is the first moment that the reader's clock shows that
   hour, or a later one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["Quiet"]

_WRITTEN = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-3])")


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours from `begins` to `ends`, 0 to 23; equal ones are none."""

    begins: int
    ends: int

    @classmethod
    def parse(cls, text: str) -> Quiet | None:
        """Read them; None for "".

        Raises:
            ValueError: it is not written like `22-8`.
        """
        if not text:
            return None
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f"quiet hours: {text!r} is not two hours such as 22-8")
        hours = cls(int(found[1]), int(found[2]))
        return hours if hours.begins != hours.ends else None

    def __str__(self) -> str:
        return f"{self.begins}-{self.ends}"

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When they end, in UTC, if they hold at `now`; else None."""
        local = now.astimezone(zone)
        if not self._holds(local.hour):
            return None
        day = local.date() + timedelta(days=int(local.hour >= self.ends))
        return max(datetime.combine(day, time(self.ends), zone).astimezone(UTC), now)

    def _holds(self, hour: int) -> bool:
        if self.begins < self.ends:
            return self.begins <= hour < self.ends
        return hour >= self.begins or hour < self.ends
