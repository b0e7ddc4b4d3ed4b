"""News of feeds: what was last told of each, and the one transaction that tells the next.

Rules, in order:

1. News is one transaction: the message, a delivery for each live lease and each hub, their batches, and the version
   told. A crash before it leaves everything to be told; after it, the ledger knows.
2. It is told once: who finds that the version has moved meanwhile, or was told of a later change, tells nothing.
3. Newer news takes the place of older that still waits; what is being sent just then is looked at again when it is
   claimed (`sending`).
4. Callbacks that failed lately, or answer slowly, stand apart: they wait for their time, or have batches of a less
   urgent priority, which have workers of their own. Of the others those go first that have taken something before.
5. A feed that nobody listened to begins where it stands: what was before is not told. Its count goes on where it was,
   also if the feed was gone for a while: messages of then may still be kept.
6. A wait further ahead than the longest there is was written by a clock that ran ahead: it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Priority, SubscriberRole
from syndicator.store import people, resting
from syndicator.store.batching import PAGE as BATCH_SIZE
from syndicator.store.batching import called
from syndicator.store.holding import OVERTAKEN
from syndicator.store.indexed import in_state
from syndicator.store.tables import BATCH, DELIVERY, HUB_LEASE, HUB_TOPIC, MESSAGE, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = [
    "HORIZON",
    "Topic",
    "announce",
    "begin_topic",
    "ensure_hub",
    "forget_topic",
    "looked_at",
    "mend_clock",
    "topics",
]

HORIZON = timedelta(hours=6)
"""Longer than any wait: backoff ends at five hours, and what a callback may wish for at four."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What was last told of a feed. `listened` says whether a live lease wants its news."""

    name: str
    etag: str
    number: int
    built: int
    listened: bool


async def topics(session: AsyncSession, now: datetime, *, everything: bool) -> Sequence[Topic]:
    """The feeds that are told of: those with a live lease, or `everything` that ever was."""
    held = (
        exists()
        .where(HUB_LEASE.c.topic == HUB_TOPIC.c.name, HUB_LEASE.c.until > now, HUB_LEASE.c.ended_at.is_(None))
        .correlate(HUB_TOPIC)
    )
    query = select(HUB_TOPIC, held.label("listened"))
    rows = await session.execute(query if everything else query.where(held))
    return [_topic(row) for row in rows.mappings()]


async def begin_topic(session: AsyncSession, name: str, etag: str, built: int, now: datetime, *, tracked: bool) -> None:
    """Somebody begins to listen: if nobody did, news begin from the feed as it stands; what is `tracked` goes on."""
    told = select(func.coalesce(func.max(MESSAGE.c.major), 0)).where(MESSAGE.c.feed == name).scalar_subquery()
    first = insert_for(session, HUB_TOPIC).values(name=name, etag=etag, built=built, number=told)
    await session.execute(first.on_conflict_do_nothing(index_elements=["name"]))
    if tracked:
        return
    listened = exists().where(HUB_LEASE.c.topic == name, HUB_LEASE.c.until > now, HUB_LEASE.c.ended_at.is_(None))
    if not await session.scalar(select(listened)):
        await session.execute(update(HUB_TOPIC).where(HUB_TOPIC.c.name == name).values(etag=etag, built=built))


async def looked_at(session: AsyncSession, name: str, built: int) -> None:
    """A custom feed was made anew for that change, and is what it was."""
    older = (HUB_TOPIC.c.name == name) & (HUB_TOPIC.c.built < built)
    await session.execute(update(HUB_TOPIC).where(older).values(built=built))


async def forget_topic(session: AsyncSession, name: str) -> None:
    """The feed is no more; what was told of it is counted on if it comes back (`begin_topic`)."""
    await session.execute(delete(HUB_TOPIC).where(HUB_TOPIC.c.name == name))


async def ensure_hub(session: AsyncSession, address: str, *, language: str, timezone: str, now: datetime) -> int:
    """The subscriber of an external hub, in force; its id."""
    role = SubscriberRole.CHANNEL
    who = await people.ensure(
        session, ChannelKind.WEBSUB, address, language=language, timezone=timezone, now=now, role=role
    )
    if who.is_paused:
        await resting.resume(session, who.id)
    return who.id


async def announce(
    session: AsyncSession, name: str, *, etag: str, before: str, built: int, hubs: Sequence[int], now: datetime
) -> int | None:
    """Tell that a feed has become `etag`, where `before` was told last; how many are told, None if it was told already.

    `hubs` are subscribers (`ensure_hub`) that are told beside the leases.
    """
    query = select(HUB_TOPIC).where(HUB_TOPIC.c.name == name).with_for_update()
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None or row["etag"] != before or row["built"] > built:
        return None
    number = row["number"] + 1
    told = {"etag": etag, "built": built, "number": number, "announced_at": now}
    await session.execute(update(HUB_TOPIC).where(HUB_TOPIC.c.name == name).values(told))
    await _overtake(session, name, number - 1, now)
    waiting = await _listeners(session, name, now)
    if not waiting and not hubs:
        return 0
    message = await _message(session, name, number, now)
    well = [*hubs, *(one.subscriber for one in waiting if one.well)]
    again = [one.subscriber for one in waiting if not one.well and not one.waits(now)]
    later = [(one.subscriber, one.until) for one in waiting if not one.well and one.waits(now)]
    for group, priority in ((well, Priority.NORMAL), (again, Priority.LATER)):
        for start in range(0, len(group), BATCH_SIZE):
            await _deliver(session, message, group[start : start + BATCH_SIZE], priority, now)
    if later:
        rows = [_row(message, who) | {"state": DeliveryState.DEFERRED, "due_at": until} for who, until in later]
        await session.execute(insert(DELIVERY), rows)
    return len(waiting) + len(hubs)


async def mend_clock(session: AsyncSession, now: datetime) -> int:
    """Waits that a clock which ran ahead has written are over; returns how many deliveries there were."""
    ahead = now + HORIZON
    ours = select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.channel == ChannelKind.WEBSUB)
    await session.execute(update(HUB_LEASE).where(HUB_LEASE.c.retry_at > ahead).values(retry_at=now))
    await session.execute(update(HUB_LEASE).where(HUB_LEASE.c.failing_since > now).values(failing_since=now))
    mended = 0
    for state in (DeliveryState.DUE, DeliveryState.DEFERRED):
        query = update(DELIVERY).where(in_state(state), DELIVERY.c.due_at > ahead, DELIVERY.c.subscriber_id.in_(ours))
        mended += len((await session.execute(query.values(due_at=now).returning(DELIVERY.c.id))).all())
    return mended


async def _overtake(session: AsyncSession, name: str, number: int, now: datetime) -> None:
    """What still waits of the news before is not sent any more; all before that was overtaken by it."""
    older = select(MESSAGE.c.id).where(MESSAGE.c.key == _key(name, number)).scalar_subquery()
    waits = DELIVERY.c.state.in_((DeliveryState.DUE, DeliveryState.DEFERRED))
    values = {"state": DeliveryState.SUPPRESSED, "reason": OVERTAKEN, "settled_at": now}
    await session.execute(update(DELIVERY).where(DELIVERY.c.message_id == older, waits).values(values))


@dataclass(frozen=True, slots=True)
class _Listener:
    """A live lease. `well` says that its last delivery was taken, and quickly, or that there was none yet."""

    subscriber: int
    well: bool
    until: datetime | None

    def waits(self, now: datetime) -> bool:
        return self.until is not None and now < self.until <= now + HORIZON


async def _listeners(session: AsyncSession, name: str, now: datetime) -> Sequence[_Listener]:
    """Subscribers with a live lease, who has taken something before first."""
    lease = HUB_LEASE.c
    query = (
        select(lease.subscriber_id, lease.failures, lease.slow, lease.retry_at)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == lease.subscriber_id)
        .where(lease.topic == name, lease.until > now, lease.ended_at.is_(None), SUBSCRIBER.c.state == people.ACTIVE)
        .order_by(lease.etag == "", lease.id)
    )
    return [
        _Listener(who, not failures and not slow, until) for who, failures, slow, until in await session.execute(query)
    ]


async def _message(session: AsyncSession, name: str, number: int, now: datetime) -> int:
    values = {
        "key": _key(name, number),
        "kind": MessageKind.FEED,
        "feed": name,
        "major": number,
        "priority": Priority.NORMAL,
        "cursor": 0,
        "created_at": now,
        "fanned_out_at": now,
    }
    query = insert_for(session, MESSAGE).values(values).returning(MESSAGE.c.id)
    return int((await session.execute(query)).scalar_one())


async def _deliver(
    session: AsyncSession, message: int, group: Sequence[int], priority: Priority, now: datetime
) -> None:
    batch = {"channel": ChannelKind.WEBSUB, "priority": priority, "created_at": now}
    made = (await session.execute(insert(BATCH).values(batch).returning(BATCH.c.id))).scalar_one()
    called(session, [made], ChannelKind.WEBSUB, priority, now)
    due = {"state": DeliveryState.DUE, "due_at": now, "batch_id": made}
    await session.execute(insert(DELIVERY), [_row(message, who) | due for who in group])


def _row(message: int, subscriber: int) -> dict[str, Any]:
    usual = {"lang": "", "attempts": 0, "reason": "", "answer": {}}
    return {"message_id": message, "subscriber_id": subscriber, **usual}


def _key(name: str, number: int) -> str:
    return f"{MessageKind.FEED}:{name}:{number}"


def _topic(row: RowMapping) -> Topic:
    return Topic(row["name"], row["etag"], row["number"], row["built"], bool(row["listened"]))
