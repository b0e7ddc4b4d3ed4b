"""After a crash, and by an operator's hand: what stands still is set going again.

1. Rows left `sending` by a dead process are sent again, once a crash: nobody may be missed, so a repeat is risked.
   At the start of the only process those are all there are; among several, those of processes that are registered no
   more (`domain.ports.Attendance`), and of one that had the database to itself before.
   They are marked, for the channel to use the same ids. One that was being sent at five crashes is likely what brings
   the process down: it stands `unknown` then, for people to see. Waits for a busy relay do not count.
2. An operator may send again what failed, what nobody can tell, and what waits.
3. A chat of the office's own that takes posts again gets at once what waited for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, case, exists, literal_column, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, SubscriberRole
from syndicator.domain.places import Place
from syndicator.store.batching import ANEW, close_idle, regroup, urgency
from syndicator.store.indexed import in_state
from syndicator.store.registered import WORKERS
from syndicator.store.tables import BATCH, DELIVERY, HUB_LEASE, MESSAGE, SUBSCRIBER
from syndicator.store.wanted import tell

__all__ = ["recover", "recover_dead", "reopened", "retry"]

RETRIED = (DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.DEFERRED)
BATCH_SIZE = 500
MAX_CRASHES = 5


async def recover(session: AsyncSession, now: datetime) -> int:
    """At start of the only process: rows left `sending` are due again, marked resent; their batches open again.

    One that was in flight at the fifth crash becomes unknown instead. Returns how many rows were found.
    """
    return await _recover(session, true(), now)


async def recover_dead(session: AsyncSession, now: datetime) -> int:
    """Beside other processes: the same for rows whose process is registered no more. Costs little where there are none.

    Whoever is registered keeps its rows, fresh or not: that it is dead is for whoever strikes it off to judge.
    """
    alive = exists().where(WORKERS.c.id == DELIVERY.c.claimed_by)
    return await _recover(session, or_(DELIVERY.c.claimed_by.is_(None), ~alive), now)


async def _recover(session: AsyncSession, whose: ColumnElement[bool], now: datetime) -> int:
    spent = DELIVERY.c.crashes + 1 >= MAX_CRASHES
    held = select(DELIVERY.c.id).where(in_state(DeliveryState.SENDING), whose).order_by(DELIVERY.c.id)
    query = (
        update(DELIVERY)
        .where(DELIVERY.c.id.in_(held.with_for_update(skip_locked=True)), in_state(DeliveryState.SENDING))
        .values(
            state=case((spent, str(DeliveryState.UNKNOWN)), else_=str(DeliveryState.DUE)),
            reason=case(
                (spent, f"the process ended {MAX_CRASHES} times while it was being sent"), else_=DELIVERY.c.reason
            ),
            settled_at=case((spent, now), else_=None),
            due_at=now,
            claimed_at=None,
            claimed_by=None,
            resent=true(),
            crashes=DELIVERY.c.crashes + 1,
        )
        .returning(DELIVERY.c.batch_id)
    )
    batches = list(await session.scalars(query))
    if not batches:
        return 0
    opened = update(BATCH).where(BATCH.c.id.in_(set(batches) - {None})).values(done_at=None)
    await session.execute(opened)
    await close_idle(session, now)
    tell(session)
    return len(batches)


async def retry(
    session: AsyncSession,
    *,
    states: Sequence[DeliveryState],
    release: int | None = None,
    delivery: int | None = None,
    now: datetime,
) -> int:
    """An operator's wish: rows in these states become due again, in new batches, with all their attempts before them.

    `release` means all that was said of it by itself: the release, its corrections, edits and withdrawals.

    Raises:
        ValueError: a state is asked for that must not be sent again (sent, suppressed, due, sending).
    """
    if refused := [state for state in states if state not in RETRIED]:
        raise ValueError(f"{refused[0]}: only failed, unknown and deferred deliveries can be sent again")
    moved = 0
    for state in dict.fromkeys(states):
        query = (
            select(DELIVERY.c.id, SUBSCRIBER.c.channel, urgency())
            .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
            .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
            .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
            .where(in_state(state))
            .order_by(DELIVERY.c.id)
            .with_for_update(of=DELIVERY, skip_locked=True)
        )
        if release is not None:
            query = query.where(MESSAGE.c.release_id == release)
        if delivery is not None:
            query = query.where(DELIVERY.c.id == delivery)
        rows = [(number, channel, priority) for number, channel, priority in await session.execute(query)]
        marked = {"resent": True} if state is DeliveryState.UNKNOWN else {}
        moved += await regroup(session, rows, state, size=BATCH_SIZE, now=now, **ANEW, **marked)
    return moved


async def reopened(session: AsyncSession, channel: ChannelKind, chats: Collection[str], now: datetime) -> int:
    """Those chats of the office's own, by whatever names, take posts again: what was deferred there is due now.

    All their topics are meant. Returns how many rows there were.
    """
    named = {Place.parse(chat).key[0] for chat in chats}
    ours = await session.execute(
        select(SUBSCRIBER.c.id, SUBSCRIBER.c.address, SUBSCRIBER.c.resolved).where(
            SUBSCRIBER.c.channel == channel, SUBSCRIBER.c.role == literal_column(f"'{SubscriberRole.CHANNEL}'")
        )
    )
    meant = [
        number
        for number, address, resolved in ours
        if named & {Place.parse(one).key[0] for one in (address, resolved) if one}
    ]
    query = (
        select(DELIVERY.c.id, SUBSCRIBER.c.channel, urgency())
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
        .where(in_state(DeliveryState.DEFERRED), DELIVERY.c.subscriber_id.in_(meant))
        .order_by(DELIVERY.c.id)
        .with_for_update(of=DELIVERY, skip_locked=True)
    )
    rows = [(number, kind, priority) for number, kind, priority in await session.execute(query)]
    return await regroup(session, rows, DeliveryState.DEFERRED, size=BATCH_SIZE, now=now)
