"""Since when months of the archives wait to be built, and which of them rest.

Rules, in order:

1. A month that shows what may not be read any more, or is other now, never rests.
2. Any other, once built, rests `_SHARE` times as long as that took, a minute at the most: a store that is being taken
   in dirties one month again and again, and building it costs more the fuller it is.
3. Nothing of it lasts: after a restart every month waits anew, and none rests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from feeds.archives_folder import CHANGED

__all__ = ["SURVEY", "Waiting"]

SURVEY = "survey"
"""In the place of a month: the survey itself."""

_SHARE = 9
_LONGEST = timedelta(minutes=1)


class Waiting:
    """What waits, since when, and until when it rests."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._until: dict[str, datetime] = {}

    def note(self, todo: Iterable[str], now: datetime) -> None:
        """This is all there is to do at `now`."""
        self._since = {month: self._since.get(month, now) for month in todo}

    def rest(self, month: str, begun: datetime, ended: datetime) -> None:
        """A month has just been built."""
        self._until = {other: until for other, until in self._until.items() if until > ended}
        self._until[month] = ended + min(_SHARE * max(ended - begun, timedelta()), _LONGEST)

    def ready_at(self, todo: Mapping[str, int], month: str, now: datetime) -> datetime:
        """From when on the month may be built."""
        return now if todo[month] <= CHANGED else max(now, self._until.get(month, now))

    def next_at(self, todo: Mapping[str, int], now: datetime) -> datetime | None:
        """When something may be built; None where nothing is to do."""
        return min((self.ready_at(todo, month, now) for month in todo), default=None)

    def seconds(self, now: datetime) -> float:
        """How long the oldest has waited."""
        return max((now - min(self._since.values(), default=now)).total_seconds(), 0.0)
