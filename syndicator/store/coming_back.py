"""Whether who is told of by a report has come back since the mail that it is about was sent.

A report may take days. Whoever came back meanwhile has shown that mail reaches them; a report about a mail sent before
that says nothing about now:

1. They said yes since: a subscription of theirs that lives was confirmed after the mail was sent.
2. Or they had been paused since, by another mail of theirs that came back, and are so no longer: a pause of that kind
   ends by their own word alone (`resting`).
"""

from __future__ import annotations

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import BounceKind
from syndicator.domain.model import MessageKind
from syndicator.store.bounces import BOUNCED, Concerned
from syndicator.store.people import LIVE
from syndicator.store.tables import BOUNCE, DELIVERY, MESSAGE, SUBSCRIBER, SUBSCRIPTION

__all__ = ["has_come_back"]

_ELSEWHERE = (MessageKind.ADDRESS, MessageKind.MOVED)


async def has_come_back(session: AsyncSession, who: Concerned) -> bool:
    """Whether they showed that they are there after that mail was sent; False where it is not known which mail."""
    sent_at = func.coalesce(DELIVERY.c.settled_at, DELIVERY.c.claimed_at, DELIVERY.c.due_at)
    theirs = SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id
    agreed = exists().where(theirs, LIVE, SUBSCRIPTION.c.confirmed_at > sent_at)
    earlier = DELIVERY.alias()
    elsewhere = (
        select(earlier.c.id)
        .join(MESSAGE, MESSAGE.c.id == earlier.c.message_id)
        .where(earlier.c.id == BOUNCE.c.delivery_id, MESSAGE.c.kind.in_(_ELSEWHERE))
        .correlate(BOUNCE)
    )
    came_back = and_(
        BOUNCE.c.subscriber_id == SUBSCRIBER.c.id,
        BOUNCE.c.kind == BounceKind.HARD.value,
        BOUNCE.c.at > sent_at,
        or_(BOUNCE.c.delivery_id.is_(None), BOUNCE.c.delivery_id != DELIVERY.c.id),
        ~exists(elsewhere),
    )
    resumed = and_(~SUBSCRIBER.c.state_reason.startswith(f"{BOUNCED}:"), exists().where(came_back))
    query = (
        select(DELIVERY.c.id)
        .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == who.subscriber)
        .where(DELIVERY.c.id == who.delivery, or_(agreed, resumed))
    )
    return who.delivery is not None and (await session.execute(query)).first() is not None
