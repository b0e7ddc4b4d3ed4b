"""Addresses that change: a person or a channel goes on under another one, with all that is theirs.

Rules, in order:

1. A person who moves takes subscriptions and deliveries along, also to an address that we know already.
2. A configured channel keeps its address as written, and only `resolved` follows; a new address is the configuration's
   to write (`respell`).
3. Moving twice, or one who is gone or was erased, changes nothing.
"""

from __future__ import annotations

from sqlalchemy import exists, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import SubscriberRole, SubscriptionState
from syndicator.store.people import LIVE, by_id, find, put, resolve, spelling
from syndicator.store.resting import pause
from syndicator.store.tables import DELIVERY, SUBSCRIPTION

__all__ = ["move", "respell"]


async def move(session: AsyncSession, subscriber: int, address: str) -> None:
    """The channel says the address changed: a person's is replaced, merging if taken; a channel keeps it as `resolved`.

    Moving twice, or a subscriber that is gone or was erased, changes nothing.
    """
    mover = await by_id(session, subscriber)
    if mover is None or mover.is_erased or spelling(mover.channel, address) in (mover.address, mover.resolved):
        return
    if mover.role is SubscriberRole.CHANNEL:
        await resolve(session, subscriber, address)
        return
    taken = await find(session, mover.channel, address)
    if taken is None:
        await put(session, subscriber, address=spelling(mover.channel, address), resolved="")
        return
    await _hand_over(session, subscriber, taken.id)
    await pause(session, subscriber, f"moved to subscriber {taken.id}")


async def respell(session: AsyncSession, channel: int, address: str) -> None:
    """The configuration writes a channel otherwise: it goes on under that address, with whoever had it before."""
    known = await by_id(session, channel)
    taken = None if known is None else await find(session, known.channel, address)
    if taken is None:
        await put(session, channel, address=address)
    elif taken.id != channel:
        await _hand_over(session, channel, taken.id)


async def _hand_over(session: AsyncSession, old: int, new: int) -> None:
    """Subscriptions and deliveries go along, but for those that the other has: what was sent is followed, too."""
    held = SUBSCRIPTION.alias()
    has_it = exists().where(
        held.c.subscriber_id == new,
        held.c.filter_id == SUBSCRIPTION.c.filter_id,
        held.c.state != SubscriptionState.ENDED,
    )
    here = update(SUBSCRIPTION).where(SUBSCRIPTION.c.subscriber_id == old, LIVE)
    await session.execute(here.where(~has_it).values(subscriber_id=new))
    told = DELIVERY.alias()
    gets_it = exists().where(told.c.subscriber_id == new, told.c.message_id == DELIVERY.c.message_id)
    theirs = update(DELIVERY).where(DELIVERY.c.subscriber_id == old)
    await session.execute(theirs.where(~gets_it).values(subscriber_id=new))
