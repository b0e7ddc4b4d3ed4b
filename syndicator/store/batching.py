"""Batches: the deliveries that one job sends.

1. A batch is open until none of its deliveries is due or being sent; nobody needs it afterwards: closed ones are
   deleted, and their deliveries stay without one.
2. Chats take one message at a time, so their batches are small: what goes side by side is batches, and an office with
   a few hundred readers is to have all its lanes at work.
3. Batches of callbacks are as small as what is asked side by side, so that one that hangs holds up few. What failed
   there before, or is slow, comes into batches of a less urgent priority (`Priority.LATER`): the dead are kept apart
   from the living, and never stand before fresh news.
4. The office's own channels come before all people, across messages: a correction that a hundred thousand people are
   told for an hour keeps no post from them. What only edits (`Priority.LATER`) stays behind for them, too.
5. Where several processes send side by side, what is written together is `PARTS` batches, or as many as there are
   chunks: a mailing of some hundred is shared by all of them, and one of a million has no more batches than elsewhere.
6. Whoever makes a batch says so (`called`): a job for it goes into the queue that all processes share, or, where only
   one of them sends by that channel, they are told to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import ColumnElement, and_, case, delete, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.jobs import deliver_job
from syndicator.domain.model import ChannelKind, DeliveryState, Priority, SubscriberRole
from syndicator.store.tables import BATCH, DELIVERY, HUB_LEASE, MESSAGE, SUBSCRIBER
from syndicator.store.wanted import has_others, tell, want

__all__ = [
    "ANEW",
    "LEAST",
    "PAGE",
    "PARTS",
    "SHARED",
    "batch_of",
    "batches_for",
    "called",
    "close_idle",
    "forget_closed",
    "priority_of",
    "regroup",
    "size_of",
    "urgency",
]

PAGE = 32  # deliveries to callbacks in one batch
CHATS = 50  # deliveries to chats in one
LEAST = 20  # a chunk of mail (rule 5)
PARTS = 40
SHARED = frozenset({ChannelKind.EMAIL})  # by which all processes send, side by side
ANEW: Mapping[str, object] = MappingProxyType(
    {"attempts": 0, "slowed": 0, "tried_at": None, "crashes": 0, "reason": ""}
)  # of a row that has all its attempts and time before it again

WAITING = (DeliveryState.DUE, DeliveryState.SENDING)
_OURS = {Priority.URGENT: Priority.CHANNEL_URGENT, Priority.NORMAL: Priority.CHANNEL}


def urgency() -> ColumnElement[int]:
    """The priority of the batch that a delivery comes into; message, subscriber and lease, if any, are joined."""
    troubled = or_(DELIVERY.c.attempts > 0, HUB_LEASE.c.failures > 0, HUB_LEASE.c.slow > 0)
    later = and_(SUBSCRIBER.c.channel == ChannelKind.WEBSUB, troubled)
    ours = SUBSCRIBER.c.role == SubscriberRole.CHANNEL
    return case(
        (later, int(Priority.LATER)),
        *((and_(ours, MESSAGE.c.priority == before), int(after)) for before, after in _OURS.items()),
        else_=MESSAGE.c.priority,
    )


def priority_of(message: Priority, role: SubscriberRole) -> Priority:
    """The priority of a batch for readers of that role (rule 4); `urgency` says the same of a row."""
    return _OURS.get(message, message) if role is SubscriberRole.CHANNEL else message


def batch_of(channel: str, size: int) -> int:
    """How many deliveries a batch of that channel takes, where `size` is usual."""
    return min(size, {ChannelKind.WEBSUB: PAGE, ChannelKind.TELEGRAM: CHATS}.get(ChannelKind(channel), size))


def size_of(channel: str, size: int, number: int, *, others: bool) -> int:
    """As `batch_of`, where `number` deliveries are written together; `others` send as well (rule 5)."""
    size = batch_of(channel, size)
    return min(size, max(LEAST, -(-number // PARTS))) if others and channel in SHARED else size


def batches_for(channel: str, size: int, number: int, *, others: bool) -> int:
    """How many batches are needed where no more than `number` deliveries are: fewer of them can need one more."""
    numbers = {number, min(number, LEAST * PARTS)}
    return max(-(-few // size_of(channel, size, few, others=others)) for few in numbers)


def called(session: AsyncSession, batches: Sequence[int], channel: str, priority: int, now: datetime) -> None:
    """These batches of one channel and priority were made (rule 6)."""
    if channel in SHARED:
        kind, urgency_ = ChannelKind(channel), Priority(priority)
        want(session, *(deliver_job(batch, kind, urgency_, now) for batch in batches))
    elif batches:
        tell(session)


async def regroup(
    session: AsyncSession,
    rows: Sequence[tuple[int, str, int]],
    state: DeliveryState,
    *,
    size: int,
    now: datetime,
    **values: object,
) -> int:
    """Put deliveries (id, channel, priority) still in that state into new batches, due now; returns how many."""
    groups: dict[tuple[str, int], list[int]] = {}
    for number, channel, priority in rows:
        groups.setdefault((channel, priority), []).append(number)
    moved = 0
    for (channel, priority), numbers in groups.items():
        many = size_of(channel, size, len(numbers), others=has_others(session))
        for start in range(0, len(numbers), many):
            batch = {"channel": channel, "priority": priority, "created_at": now}
            made = (await session.execute(insert(BATCH).values(batch).returning(BATCH.c.id))).scalar_one()
            query = (
                update(DELIVERY)
                .where(DELIVERY.c.id.in_(numbers[start : start + many]), DELIVERY.c.state == state)
                .values(state=DeliveryState.DUE, batch_id=made, due_at=now, settled_at=None, claimed_at=None, **values)
                .returning(DELIVERY.c.id)
            )
            filled = len((await session.execute(query)).all())
            moved += filled
            if filled:
                called(session, [made], channel, priority, now)
    return moved


async def close_idle(session: AsyncSession, now: datetime, batch: int | None = None) -> None:
    """Close that batch, or every one, if none of its deliveries is due or being sent."""
    waits = exists().where(DELIVERY.c.batch_id == BATCH.c.id, DELIVERY.c.state.in_(WAITING))
    query = update(BATCH).where(BATCH.c.done_at.is_(None), ~waits).values(done_at=now)
    await session.execute(query if batch is None else query.where(BATCH.c.id == batch))


async def forget_closed(session: AsyncSession, limit: int = 100) -> int:
    """Delete up to `limit` closed batches; returns how many there were."""
    waits = exists().where(DELIVERY.c.batch_id == BATCH.c.id, DELIVERY.c.state.in_(WAITING))
    closed = select(BATCH.c.id).where(BATCH.c.done_at.is_not(None), ~waits).limit(limit)
    return len((await session.execute(delete(BATCH).where(BATCH.c.id.in_(closed)).returning(BATCH.c.id))).all())
