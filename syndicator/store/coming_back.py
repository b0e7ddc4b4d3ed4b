"""Whether who is told of by a report has come back since the mail that it is about was sent.

Rules, in order:

1. Three things show that mail reaches somebody: their yes to a sign-up, their yes to a move, and "Resume" on their
   page, whose link a mail brought. The last moment is kept (`heard`); nothing else sets it, and no file does.
2. A report may take days. About a mail that was sent before that moment it says nothing of now.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.bounces import Concerned
from syndicator.store.people import put
from syndicator.store.tables import DELIVERY, SUBSCRIBER

__all__ = ["has_come_back", "heard"]


async def heard(session: AsyncSession, subscriber: int, now: datetime) -> None:
    """They have shown that they are there (rule 1)."""
    await put(session, subscriber, heard_at=now)


async def has_come_back(session: AsyncSession, who: Concerned) -> bool:
    """Whether they showed that they are there after that mail was sent; False where it is not known which mail."""
    if who.delivery is None:
        return False
    sent_at = func.coalesce(DELIVERY.c.settled_at, DELIVERY.c.claimed_at, DELIVERY.c.due_at)
    query = (
        select(DELIVERY.c.id)
        .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == who.subscriber)
        .where(DELIVERY.c.id == who.delivery, SUBSCRIBER.c.heard_at > sent_at)
    )
    return (await session.execute(query)).first() is not None
