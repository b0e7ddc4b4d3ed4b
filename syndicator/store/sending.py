"""Sending: what became of what was claimed, and what waits for later; the claim itself is `claiming`.

Rules, in order:

1. Settling moves only rows that are `sending`, and by the same claim: by whom it was made, and which attempt it was.
   A second settling finds none, and what a process answers that was taken for dead meanwhile moves nothing.
2. A deferred row leaves its batch; when its time has come, the sweep puts it into a new one. What is held for
   a reader's quiet hours comes due when they are changed, and is looked at again.
3. What becomes due within the minute is told to whoever plans; the rest they find when they look next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, String, bindparam, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, Priority
from syndicator.store.batching import close_idle, regroup, urgency
from syndicator.store.indexed import in_state
from syndicator.store.known import has_known_channel, has_known_kind
from syndicator.store.tables import BATCH, DELIVERY, HUB_LEASE, MESSAGE, SUBSCRIBER, UtcTime
from syndicator.store.wanted import tell

__all__ = [
    "QUIET",
    "OpenBatch",
    "Settlement",
    "being_sent",
    "end_quiet",
    "next_deferred",
    "open_batches",
    "settle",
    "sweep",
]

QUIET = "quiet hours"  # why a row waits
SOON = timedelta(minutes=1)
ABREAST = 500  # batches of one channel and priority that are looked at; whoever has sent some of them asks again
STEP = 20_000  # rows that one sweep moves; the rest are as overdue, and the next call takes them


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claimed delivery. `due_at` is set for deferred; `counted` False gives the attempt back.

    `slowed` says that it was told to slow down: the attempt counts, and makes no later wait longer. `attempts` and
    `claimed_by` are those of the claim that it answers (rule 1); without `attempts` whoever settles holds the row.
    """

    delivery: int
    state: DeliveryState
    answer: Mapping[str, Any] | None = None
    reason: str = ""
    due_at: datetime | None = None
    counted: bool = True
    resent: bool | None = None
    slowed: bool = False
    attempts: int | None = None
    claimed_by: int | None = None


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with work due."""

    id: int
    channel: ChannelKind
    priority: Priority


_OURS = """id = :delivery AND state = 'sending' AND attempts = COALESCE(:attempts, attempts)
    AND COALESCE(claimed_by, 0) = COALESCE(:claimed_by, claimed_by, 0)"""
_CLAIMED = (bindparam("attempts", type_=Integer), bindparam("claimed_by", type_=BigInteger))

SETTLE = text(f"""
UPDATE delivery SET
    state = :state,
    reason = :reason,
    attempts = attempts - :back,
    slowed = slowed + :slowed,
    tried_at = COALESCE(tried_at, :tried_at),
    answer = CASE WHEN :answered = 1 THEN :answer ELSE answer END,
    resent = CASE :resent WHEN 1 THEN :yes WHEN 0 THEN :no ELSE resent END,
    due_at = COALESCE(:due_at, due_at),
    settled_at = :settled_at,
    claimed_at = NULL,
    claimed_by = NULL,
    batch_id = CASE WHEN :leaves = 1 THEN NULL ELSE batch_id END
WHERE {_OURS}
""").bindparams(  # noqa: S608  # constants
    *_CLAIMED,
    bindparam("answer", type_=JSON),
    bindparam("due_at", type_=UtcTime),
    bindparam("settled_at", type_=UtcTime),
    bindparam("tried_at", type_=UtcTime),
    bindparam("reason", type_=String),
    *(bindparam(name, type_=Integer) for name in ("back", "slowed", "answered", "resent", "leaves")),
)

# Nearly all rows come to this, and a row of many parameters costs more than its UPDATE.
SENT = text(f"""
UPDATE delivery
SET state = 'sent', reason = '', answer = :answer, settled_at = :settled_at, claimed_at = NULL, claimed_by = NULL
WHERE {_OURS}
""").bindparams(bindparam("answer", type_=JSON), bindparam("settled_at", type_=UtcTime), *_CLAIMED)  # noqa: S608


async def open_batches(session: AsyncSession) -> Sequence[OpenBatch]:
    """Batches with deliveries that are due, most important first; of a channel's equals the first `ABREAST`.

    What is due is due: the clock is not asked again, it may have been set back since.
    """
    due = exists().where(DELIVERY.c.batch_id == BATCH.c.id, DELIVERY.c.state == DeliveryState.DUE, has_known_kind())
    place = func.row_number().over(partition_by=(BATCH.c.channel, BATCH.c.priority), order_by=BATCH.c.id)
    found = select(BATCH.c.id, BATCH.c.channel, BATCH.c.priority, place.label("place"))
    batch = found.where(BATCH.c.done_at.is_(None), has_known_channel(), due).subquery()
    query = select(batch).where(batch.c.place <= ABREAST).order_by(batch.c.priority, batch.c.id)
    rows = await session.execute(query)
    return [OpenBatch(row.id, ChannelKind(row.channel), Priority(row.priority)) for row in rows]


async def settle(session: AsyncSession, settlements: Sequence[Settlement], now: datetime) -> int:
    """Move rows from sending to their outcomes; those that are not `sending` by that claim are left alone (rule 1).

    Returns rows moved.
    """
    sent = [{"answer": one.answer, "settled_at": now, **_claim_of(one)} for one in settlements if _is_plain(one)]
    rest = [_settling(one, now) for one in settlements if not _is_plain(one)]
    connection = await session.connection()
    moved = 0
    for query, values in ((SENT, sent), (SETTLE, rest)):
        if values:
            moved += (await connection.execute(query, values)).rowcount
    if any(one.due_at is not None and one.due_at < now + SOON for one in settlements):
        tell(session)
    return moved


async def being_sent(session: AsyncSession, settlements: Sequence[Settlement]) -> Collection[int]:
    """The deliveries that these will move; nobody else settles them before the transaction ends."""
    asked = {one.delivery: one for one in settlements}
    query = (
        select(DELIVERY.c.id, DELIVERY.c.attempts, DELIVERY.c.claimed_by)
        .where(DELIVERY.c.id.in_(list(asked)), DELIVERY.c.state == DeliveryState.SENDING)
        .order_by(DELIVERY.c.id)
        .with_for_update()
    )
    rows = await session.execute(query)
    return {number for number, attempts, by in rows if _is_of(asked[number], attempts, by)}


async def end_quiet(session: AsyncSession, subscriber: int, now: datetime) -> None:
    """What waits for the end of that reader's quiet hours is due now; if they still hold, the claim puts it off."""
    held = (DELIVERY.c.subscriber_id == subscriber) & (DELIVERY.c.reason == QUIET) & (DELIVERY.c.due_at > now)
    query = update(DELIVERY).where(held, DELIVERY.c.state == DeliveryState.DEFERRED)
    await session.execute(query.values(due_at=now))
    tell(session)


async def sweep(session: AsyncSession, now: datetime, batch_size: int = 500) -> int:
    """Deferred rows whose time has come become due in new batches, grouped by channel and priority (`urgency`).

    Moves 20,000 at most; `next_deferred` then still names a time that has passed. Returns rows moved.
    """
    query = (
        select(DELIVERY.c.id, SUBSCRIBER.c.channel, urgency())
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
        .where(in_state(DeliveryState.DEFERRED), DELIVERY.c.due_at <= now)
        .order_by(DELIVERY.c.due_at, DELIVERY.c.id)
        .limit(STEP)
        .with_for_update(of=DELIVERY, skip_locked=True)
    )
    rows = [(number, channel, priority) for number, channel, priority in await session.execute(query)]
    moved = await regroup(session, rows, DeliveryState.DEFERRED, size=batch_size, now=now)
    await close_idle(session, now)
    return moved


async def next_deferred(session: AsyncSession) -> datetime | None:
    """When the next deferred row comes due."""
    query = select(func.min(DELIVERY.c.due_at)).where(in_state(DeliveryState.DEFERRED))
    found: datetime | None = await session.scalar(query)
    return found


def _claim_of(one: Settlement) -> dict[str, Any]:
    by = None if one.attempts is None else one.claimed_by or 0
    return {"delivery": one.delivery, "attempts": one.attempts, "claimed_by": by}


def _is_of(one: Settlement, attempts: int, claimed_by: int | None) -> bool:
    return one.attempts is None or (one.attempts, one.claimed_by) == (attempts, claimed_by)


def _is_plain(one: Settlement) -> bool:
    plain = one.state is DeliveryState.SENT and one.counted and not one.reason
    return plain and one.answer is not None and one.resent is None


def _settling(one: Settlement, now: datetime) -> dict[str, Any]:
    again = one.state in (DeliveryState.DUE, DeliveryState.DEFERRED)
    return {
        **_claim_of(one),
        "state": str(one.state),
        "reason": one.reason,
        "back": 0 if one.counted else 1,
        "slowed": int(one.slowed),
        "tried_at": now if again and one.counted else None,
        "answered": 0 if one.answer is None else 1,
        "answer": {} if one.answer is None else dict(one.answer),
        "resent": -1 if one.resent is None else int(one.resent),
        "yes": True,
        "no": False,
        "due_at": one.due_at or (now if again else None),
        "settled_at": None if again else now,
        "leaves": int(one.state is DeliveryState.DEFERRED),
    }
