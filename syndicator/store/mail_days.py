"""How much mail the relay took on a day, and how much of what was sent came back.

Rules, in order:

1. A day is the office's date, written YYYY-MM-DD. Processes add to it; none sets it.
2. What a crash kept from being added is found again in the ledger: `settled_since` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import BounceKind
from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.store.tables import BOUNCE, DELIVERY, MAIL_DAY, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = ["add", "came_back", "settled_since", "taken"]


async def add(session: AsyncSession, day: date, number: int) -> int:
    """So many more were taken on that day; how many that makes, those of other processes included."""
    insert = insert_for(session, MAIL_DAY).values(day=day.isoformat(), taken=number)
    query = insert.on_conflict_do_update(
        index_elements=["day"], set_={"taken": MAIL_DAY.c.taken + insert.excluded.taken}
    )
    return int(await session.scalar(query.returning(MAIL_DAY.c.taken)) or 0)


async def taken(session: AsyncSession, since: date) -> Mapping[date, int]:
    """How many were taken on that day and each after it; days without any are left out."""
    query = select(MAIL_DAY.c.day, MAIL_DAY.c.taken).where(MAIL_DAY.c.day >= since.isoformat())
    return {date.fromisoformat(day): number for day, number in await session.execute(query)}


async def settled_since(session: AsyncSession, moment: datetime) -> int:
    """How many mails the ledger has as sent since then; it reads all of it: once, at a start, while it is small."""
    query = (
        select(func.count())
        .select_from(DELIVERY)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .where(
            DELIVERY.c.state == DeliveryState.SENT,
            DELIVERY.c.settled_at >= moment,
            SUBSCRIBER.c.channel == ChannelKind.EMAIL,
        )
    )
    return int(await session.scalar(query) or 0)


async def came_back(session: AsyncSession, since: datetime) -> Mapping[BounceKind, int]:
    """What came back since then, by its kind."""
    query = select(BOUNCE.c.kind, func.count()).where(BOUNCE.c.at >= since).group_by(BOUNCE.c.kind)
    return {BounceKind(kind): number for kind, number in await session.execute(query)}
