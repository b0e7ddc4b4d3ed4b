"""Which filters with words were asked for, and since when: noted here, written by the engine. A `Workplace`.

Rules, in order:

1. A withdrawn release stands in the feed of a filter with words only if that very filter had been asked for before the
   withdrawal (docs/decisions/0013): who asks now learns nothing that could not be had before.
2. Noting costs an answer nothing: it is kept in memory, bounded, and written when the engine next looks, within half a
   minute. What is noted counts at once.
3. When a filter was last asked for is written once a day at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Priority
from syndicator.domain.ports import Done, Handler, Job, Turn, Verdict
from syndicator.store import asked
from syndicator.store.database import Database

__all__ = ["AskedFilters"]

JOB = "asked-filters"
AGAIN = timedelta(days=1)
WAITING = 5_000  # filters noted and not written yet; beyond that they are not remembered


class AskedFilters:
    """The memory of what was asked for; `most` filters are kept in the store."""

    def __init__(self, database: Database, most: int = asked.MOST) -> None:
        self._database, self._most = database, most
        self._noted: dict[str, tuple[datetime, datetime]] = {}

    async def since(self, session: AsyncSession, canonical: str, now: datetime) -> datetime | None:
        """Since when that filter was asked for before; None if never. It is asked for by this, too."""
        known = await asked.asked(session, canonical)
        waiting = self._noted.get(canonical)
        times = [time for time in (known.since, waiting[0] if waiting else None) if time is not None]
        first = min(times, default=None)
        if (known.noted is None or now - known.noted >= AGAIN) and (waiting or len(self._noted) < WAITING):
            self._noted[canonical] = (first or now, now)
        return first

    # -- the workplace
    def handlers(self) -> Mapping[str, Handler]:
        """Its one job."""
        return {JOB: self._write}

    async def pending(self, now: datetime) -> Sequence[Job]:
        """What is noted and not written yet."""
        return [Job(JOB, JOB, Priority.NORMAL, now, lane=JOB)] if self._noted else []

    async def _write(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # one small transaction
        """Job `asked-filters`: one transaction for all of them."""
        noted = dict(self._noted)
        async with self._database.writing() as session:
            await asked.note(session, noted, self._most)
        for canonical, times in noted.items():
            if self._noted.get(canonical) == times:
                del self._noted[canonical]
        return Done()
