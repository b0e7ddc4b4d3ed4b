"""Filters with words that were asked for, and since when (docs/decisions/0013).

Rules, in order:

1. A filter is known by its canonical text. It was first asked for when its row says, or when the first callback leased
   its feed, whichever was earlier.
2. Its first time never moves while it is known; its last one follows, and decides which is forgotten when there are
   too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.site import FEED_FORMATS
from syndicator.store.tables import ASKED_FILTER, HUB_LEASE
from syndicator.store.upsert import insert_for

__all__ = ["MOST", "Asked", "asked", "note"]

MOST = 20_000
_PART = 500  # rows of one statement; databases bound how many values there may be in one


@dataclass(frozen=True, slots=True)
class Asked:
    """Since when a filter was asked for, and when it was last noted; None: never."""

    since: datetime | None
    noted: datetime | None


async def asked(session: AsyncSession, canonical: str) -> Asked:
    """What is known of a filter's past."""
    query = select(ASKED_FILTER.c.first_asked_at, ASKED_FILTER.c.last_asked_at)
    row = (await session.execute(query.where(ASKED_FILTER.c.canonical == canonical))).one_or_none()
    topics = [f"custom.{fmt}?{canonical}" for fmt in FEED_FORMATS]
    leased = await session.scalar(select(func.min(HUB_LEASE.c.created_at)).where(HUB_LEASE.c.topic.in_(topics)))
    times = [*([row[0]] if row else []), *([leased] if leased else [])]
    return Asked(min(times, default=None), row[1] if row else None)


async def note(session: AsyncSession, times: Mapping[str, tuple[datetime, datetime]], most: int = MOST) -> None:
    """Write down when these were first and last asked for; beyond `most`, those longest unasked are forgotten."""
    rows = [
        {"canonical": text, "first_asked_at": first, "last_asked_at": last} for text, (first, last) in times.items()
    ]
    for start in range(0, len(rows), _PART):
        query = insert_for(session, ASKED_FILTER).values(rows[start : start + _PART])
        later = {"last_asked_at": query.excluded.last_asked_at}
        await session.execute(query.on_conflict_do_update(index_elements=["canonical"], set_=later))
    newest = (ASKED_FILTER.c.last_asked_at.desc(), ASKED_FILTER.c.canonical)
    beyond = select(ASKED_FILTER.c.canonical).order_by(*newest).offset(most)
    await session.execute(delete(ASKED_FILTER).where(ASKED_FILTER.c.canonical.in_(beyond)))
