"""Digest windows: when those of a cadence close in a time zone, and which one is due. Pure.

Rules, in order:

1. A window is half-open, [begins_at, ends_at). It closes at one time of day of the readers' own clock: a daily one
   every day, a weekly one on its day.
2. Where clocks go forward over that time, it closes as much later as they went (RFC 5545, section 3.3.5); where it
   comes twice, the first time.
3. Each begins where the last one that was told ended, so there is no gap and no overlap, whatever has become of the
   settings since. After a silence one window reaches back to there, though not further than `reach`.
4. The first of all begins `reach` before its end: nobody is told what came before they signed up (`store.digests`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from syndicator.domain.model import Cadence

__all__ = ["DAYS", "Schedule", "Window"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Window:
    """[`begins_at`, `ends_at`), in UTC."""

    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """When windows close: daily at `at`, weekly at `at` on `weekday` (0 is Monday), on each reader's own clock."""

    at: time
    weekday: int

    def latest(self, cadence: Cadence, zone: ZoneInfo, now: datetime) -> datetime:
        """The latest close at or before `now`, in UTC."""
        return max(close for close in self._around(cadence, zone, now) if close <= now)

    def following(self, cadence: Cadence, zone: ZoneInfo, now: datetime) -> datetime:
        """The first close after `now`, in UTC."""
        return min(close for close in self._around(cadence, zone, now) if close > now)

    def due(
        self, cadence: Cadence, zone: ZoneInfo, now: datetime, *, told: datetime | None, reach: timedelta
    ) -> Window | None:
        """The window that has closed and was not told yet; `told` is the end of the last that was. None: not yet."""
        close = self.latest(cadence, zone, now)
        if told is not None and close <= told:
            return None
        earliest = close - reach
        return Window(earliest if told is None else max(told, earliest), close)

    def _around(self, cadence: Cadence, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
        """The closes of the days about `now`, one on each side at least."""
        days = 9 if cadence is Cadence.WEEKLY else 2
        today = now.astimezone(zone).date()
        for away in range(-days, days + 1):
            day = today + timedelta(days=away)
            if cadence is not Cadence.WEEKLY or day.weekday() == self.weekday:
                yield datetime.combine(day, self.at, zone).astimezone(UTC)
