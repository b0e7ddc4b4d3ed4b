"""The shelf: what feeds ask of the store, and nothing more.

Rules, in order:

1. One refresh reads one snapshot: `open()` gives a `View` that does not move while it is held.
2. Whatever changed has a greater change number, so everything not named by `changed_since` is as it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Release
from syndicator.store import calendar, releases
from syndicator.store.calendar import Moved, Placed
from syndicator.store.database import Database

__all__ = ["Shelf", "StoreShelf", "View"]

_PAGE = 400  # numbers asked for at a time; databases limit the parameters of one statement


class View(Protocol):
    """A snapshot of the releases."""

    async def last_change(self) -> int:
        """The greatest change number."""
        ...

    async def changed_since(self, change: int, limit: int) -> Sequence[Release]:
        """Releases with a greater change number, in order of change, whatever their state."""
        ...

    async def newest(self, lang: str, topics: Sequence[str] | None, now: datetime, limit: int) -> Sequence[int]:
        """Numbers of the newest releases in a language with any of the topics (None: all), newest first.

        Public ones, and those withdrawn after they had opened.
        """
        ...

    async def many(self, numbers: Sequence[int]) -> Mapping[int, Release]:
        """Several releases at once."""
        ...

    async def moved_since(self, change: int) -> Sequence[Moved]:
        """Every release with a greater change number, whatever its state: only where it stands in time."""
        ...

    async def opening_after(self, after: datetime) -> Sequence[datetime]:
        """Later times at which a release that has opened already may be shown, in order."""
        ...

    async def first_days(self, zone: ZoneInfo, now: datetime) -> Sequence[datetime]:
        """The beginning of each month in which something may be shown."""
        ...

    async def within(self, start: datetime, end: datetime, now: datetime) -> Sequence[Placed]:
        """What may be shown of that time, newest first: public ones, and those withdrawn after they had opened."""
        ...


class Shelf(Protocol):
    """Where releases are read."""

    def open(self) -> AbstractAsyncContextManager[View]:
        """A snapshot.

        Raises:
            OSError: the store cannot be read.
        """
        ...


class StoreShelf:
    """The shelf in our own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def open(self) -> AsyncIterator[View]:
        """One reading session."""
        async with self._database.reading() as session:
            yield _StoreView(session)


class _StoreView:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def last_change(self) -> int:
        return await releases.last_change(self._session)

    async def changed_since(self, change: int, limit: int) -> Sequence[Release]:
        return await releases.changed_since(self._session, change, limit)

    async def newest(self, lang: str, topics: Sequence[str] | None, now: datetime, limit: int) -> Sequence[int]:
        return await releases.newest_ids(self._session, lang, topics, now=now, limit=limit, withdrawn=True)

    async def many(self, numbers: Sequence[int]) -> Mapping[int, Release]:
        found: dict[int, Release] = {}
        for start in range(0, len(numbers), _PAGE):
            found.update(await releases.many(self._session, numbers[start : start + _PAGE]))
        return found

    async def moved_since(self, change: int) -> Sequence[Moved]:
        return await calendar.moved_since(self._session, change)

    async def opening_after(self, after: datetime) -> Sequence[datetime]:
        return await calendar.opening_after(self._session, after)

    async def first_days(self, zone: ZoneInfo, now: datetime) -> Sequence[datetime]:
        return await calendar.first_days(self._session, zone, now)

    async def within(self, start: datetime, end: datetime, now: datetime) -> Sequence[Placed]:
        return await calendar.within(self._session, start, end, now)
