"""What an operator was told: one row an alarm, whoever of several processes saw it first.

Rules, in order:

1. An alarm is live from when it was raised until it is over; raised again after that, it is a new one.
2. Telling is claimed before it is done: of many processes one tells, once. Who could not tell gives the claim back.
3. What was never told is not told to be over.
4. Rows of what has long been over go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import ALARM
from syndicator.store.upsert import insert_for

__all__ = ["Live", "claim", "end", "give_back", "live", "raise_all", "unend"]

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Live:
    """An alarm that is not over."""

    name: str
    said: str
    since: datetime
    told: bool = False


async def live(session: AsyncSession) -> Mapping[str, Live]:
    """All that is not over, by name."""
    query = select(ALARM).where(ALARM.c.over_at.is_(None)).order_by(ALARM.c.since, ALARM.c.name)
    rows = (await session.execute(query)).mappings()
    return {row["name"]: Live(row["name"], row["said"], row["since"], row["told_at"] is not None) for row in rows}


async def raise_all(session: AsyncSession, found: Sequence[Live]) -> Collection[str]:
    """These are so now; returns the names of those that were not live before."""
    if not found:
        return set()
    rows = [{"name": one.name, "said": one.said, "since": one.since} for one in found]
    anew = insert_for(session, ALARM)
    values = {"said": anew.excluded.said, "since": anew.excluded.since, "told_at": None, "over_at": None}
    query = anew.values(rows).on_conflict_do_update(
        index_elements=["name"], set_=values, where=ALARM.c.over_at.is_not(None)
    )
    return set(await session.scalars(query.returning(ALARM.c.name)))


async def claim(session: AsyncSession, names: Collection[str], now: datetime) -> Collection[str]:
    """Those of them that nobody has told yet; the caller does it now."""
    query = (
        update(ALARM)
        .where(ALARM.c.name.in_(list(names)), ALARM.c.told_at.is_(None), ALARM.c.over_at.is_(None))
        .values(told_at=now)
        .returning(ALARM.c.name)
    )
    return set(await session.scalars(query))


async def give_back(session: AsyncSession, names: Collection[str], now: datetime) -> None:
    """What was claimed at `now` could not be told."""
    query = update(ALARM).where(ALARM.c.name.in_(list(names)), ALARM.c.told_at == now).values(told_at=None)
    await session.execute(query)


async def end(session: AsyncSession, names: Collection[str], now: datetime) -> Sequence[Live]:
    """These are over: those that were live until now, for the caller to tell. Rule 4 is seen to as well."""
    query = (
        update(ALARM)
        .where(ALARM.c.name.in_(list(names)), ALARM.c.over_at.is_(None))
        .values(over_at=now)
        .returning(ALARM.c.name, ALARM.c.said, ALARM.c.since, ALARM.c.told_at)
    )
    ended = [Live(row[0], row[1], row[2], row[3] is not None) for row in await session.execute(query)]
    await session.execute(delete(ALARM).where(ALARM.c.over_at < now - KEPT))
    return sorted(ended, key=lambda one: (one.since, one.name))


async def unend(session: AsyncSession, names: Collection[str], now: datetime) -> None:
    """That these were over at `now` could not be told: they are looked at again."""
    await session.execute(
        update(ALARM).where(ALARM.c.name.in_(list(names)), ALARM.c.over_at == now).values(over_at=None)
    )
