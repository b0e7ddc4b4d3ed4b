"""Sending: what is claimed, what became of it, and what waits for later.

Rules, in order:

1. A claim is committed before the network is touched. Two workers never claim the same row: SQLite has one writer,
   PostgreSQL skips rows that another one holds.
2. What may not be sent any more is suppressed by the claim itself: an unsubscribing counts from its commit on. What
   another subscription of the same person still wants goes out by that one (`heirs`).
   A confirmation is sent while its subscription waits for it, or was asked for after it had been confirmed: to
   somebody who lost the link or was paused, and needs a way back in.
   News of a feed is sent while its lease lives, and only the newest: what is sent is always what stands now.
3. Settling moves only rows that are `sending`; a second settling finds none.
4. A deferred row leaves its batch; when its time has come, the sweep puts it into a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Integer, RowMapping, String, bindparam, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import (
    ChannelKind,
    DeliveryState,
    MessageKind,
    Priority,
    Standing,
    State,
    SubscriberRole,
    SubscriptionState,
)
from syndicator.domain.visibility import standing
from syndicator.store.batching import close_idle, regroup, urgency
from syndicator.store.heirs import inherit
from syndicator.store.indexed import in_state
from syndicator.store.messages import Message, message_of
from syndicator.store.tables import (
    BATCH,
    DELIVERY,
    FILTER,
    HUB_LEASE,
    HUB_TOPIC,
    MESSAGE,
    RELEASE,
    SUBSCRIBER,
    SUBSCRIPTION,
    UtcTime,
)

__all__ = ["Claimed", "OpenBatch", "Settlement", "claim", "next_deferred", "open_batches", "settle", "sweep"]

OVERTAKEN = "a newer version of the feed is on its way"
STEP = 20_000  # rows that one sweep moves; the rest are as overdue, and the next call takes them


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to send now, with its subscriber's facts."""

    id: int
    message: Message
    subscriber: int
    subscription: int | None
    channel: ChannelKind
    address: str
    resolved: str
    role: str
    language: str
    timezone: str
    lang: str  # the language version chosen at fan-out
    filter: str  # canonical text of the subscription's filter
    attempts: int  # this one counted
    resent: bool  # an earlier attempt may have arrived
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claimed delivery. `due_at` is set for deferred; `counted` False gives the attempt back."""

    delivery: int
    state: DeliveryState
    answer: Mapping[str, Any] | None = None
    reason: str = ""
    due_at: datetime | None = None
    counted: bool = True
    resent: bool | None = None


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with work due."""

    id: int
    channel: ChannelKind
    priority: Priority


_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id AS chosen FROM delivery WHERE batch_id = :batch AND state = 'due' AND due_at <= :now
    ORDER BY id LIMIT :limit {lock}
)
UPDATE delivery SET state = 'sending', attempts = attempts + 1, claimed_at = :now
FROM picked WHERE delivery.id = picked.chosen RETURNING delivery.id
"""
_NOW = bindparam("now", type_=UtcTime)
CLAIM = {
    "sqlite": text(_CLAIM.format(lock="")).bindparams(_NOW),
    "postgresql": text(_CLAIM.format(lock="FOR UPDATE SKIP LOCKED")).bindparams(_NOW),
}

SETTLE = text("""
UPDATE delivery SET
    state = :state,
    reason = :reason,
    attempts = attempts - :back,
    answer = CASE WHEN :answered = 1 THEN :answer ELSE answer END,
    resent = CASE :resent WHEN 1 THEN :yes WHEN 0 THEN :no ELSE resent END,
    due_at = COALESCE(:due_at, due_at),
    settled_at = :settled_at,
    claimed_at = NULL,
    batch_id = CASE WHEN :leaves = 1 THEN NULL ELSE batch_id END
WHERE id = :delivery AND state = 'sending'
""").bindparams(
    bindparam("answer", type_=JSON),
    bindparam("due_at", type_=UtcTime),
    bindparam("settled_at", type_=UtcTime),
    bindparam("reason", type_=String),
    *(bindparam(name, type_=Integer) for name in ("back", "answered", "resent", "leaves")),
)

_FACTS = (
    select(
        DELIVERY.c.id.label("delivery"),
        *(DELIVERY.c[name] for name in ("subscriber_id", "lang", "attempts", "resent", "answer")),
        DELIVERY.c.subscription_id.label("delivery_subscription"),
        *(SUBSCRIBER.c[name] for name in ("channel", "address", "resolved", "role", "language", "timezone")),
        SUBSCRIBER.c.other_language,
        SUBSCRIBER.c.state.label("subscriber_state"),
        SUBSCRIPTION.c.state.label("subscription_state"),
        SUBSCRIPTION.c.confirmed_at,
        FILTER.c.canonical,
        RELEASE.c.state.label("release_state"),
        RELEASE.c.public_at,
        RELEASE.c.opened_at,
        HUB_LEASE.c.until.label("lease_until"),
        HUB_LEASE.c.ended_at.label("lease_ended"),
        HUB_TOPIC.c.number.label("newest"),
        *MESSAGE.c,
    )
    .select_from(DELIVERY)
    .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
    .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
    .outerjoin(SUBSCRIPTION, SUBSCRIPTION.c.id == DELIVERY.c.subscription_id)
    .outerjoin(FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
    .outerjoin(RELEASE, RELEASE.c.id == MESSAGE.c.release_id)
    .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
    .outerjoin(HUB_TOPIC, HUB_TOPIC.c.name == MESSAGE.c.feed)
    .order_by(DELIVERY.c.id)
)


async def open_batches(session: AsyncSession, now: datetime) -> Sequence[OpenBatch]:
    """Batches with deliveries that are due, most important first."""
    due = exists().where(
        DELIVERY.c.batch_id == BATCH.c.id, DELIVERY.c.state == DeliveryState.DUE, DELIVERY.c.due_at <= now
    )
    query = select(BATCH).where(BATCH.c.done_at.is_(None), due).order_by(BATCH.c.priority, BATCH.c.id)
    rows = await session.execute(query)
    return [OpenBatch(row.id, ChannelKind(row.channel), Priority(row.priority)) for row in rows]


async def claim(session: AsyncSession, batch: int, now: datetime, limit: int) -> Sequence[Claimed]:
    """Move up to `limit` rows of a batch from due to sending, oldest first, attempts + 1.

    Rows that may not be sent any more become `suppressed`, and others take their places. Empty: nothing was due;
    the batch is closed then, unless rows of it are still being sent.
    """
    query = CLAIM[session.get_bind().dialect.name]
    while True:
        picked = await session.scalars(query, {"batch": batch, "now": now, "limit": limit})
        numbers = list(picked)
        if not numbers:
            await close_idle(session, now, batch)
            return []
        rows = await _inherited(session, (await session.execute(_FACTS.where(DELIVERY.c.id.in_(numbers)))).mappings())
        held = {row["delivery"]: _held_back(row, now) for row in rows}
        await settle(session, [one for one in held.values() if one is not None], now)
        if claimed := [_claimed(row) for row in rows if held[row["delivery"]] is None]:
            return claimed


async def _inherited(session: AsyncSession, rows: Iterable[RowMapping]) -> list[Mapping[str, Any]]:
    """The rows, those whose subscription has ended by the one that they are still wanted by, if any."""
    found = list(rows)
    heirs = await inherit(session, [row for row in found if _has_ended(row)])
    given: list[Mapping[str, Any]] = []
    for row in found:
        heir = heirs.get(row["delivery"])
        if heir is None:
            given.append(dict(row))
        else:
            active = {"subscription_state": SubscriptionState.ACTIVE, "delivery_subscription": heir.subscription}
            given.append({**row, **active, "canonical": heir.filter, "lang": heir.lang})
    return given


def _has_ended(row: RowMapping) -> bool:
    about_release = MessageKind(row["kind"]) is not MessageKind.CONFIRMATION and row["release_id"] is not None
    return about_release and row["subscription_state"] != SubscriptionState.ACTIVE


async def settle(session: AsyncSession, settlements: Sequence[Settlement], now: datetime) -> int:
    """Move rows from sending to their outcomes; one that is not `sending` is left alone. Returns rows moved."""
    if not settlements:
        return 0
    done = await session.execute(SETTLE, [_settling(one, now) for one in settlements])
    return int(done.rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


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


def _held_back(row: Mapping[str, Any], now: datetime) -> Settlement | None:
    """What becomes of a claimed row that may not be sent now; None if it may."""
    kind = MessageKind(row["kind"])
    if kind is MessageKind.CONFIRMATION:
        return None if _is_wanted(row) else _suppressed(row, "the subscription no longer waits for a confirmation")
    if kind is MessageKind.FEED:
        return _unwanted_news(row, now)
    if row["subscription_state"] != SubscriptionState.ACTIVE:
        return _suppressed(row, "the subscription has ended")
    if row["subscriber_state"] != "active":
        return _suppressed(row, "the subscriber is paused")
    return None if row["release_state"] is None else _hidden(row, kind, now)


def _unwanted_news(row: Mapping[str, Any], now: datetime) -> Settlement | None:
    """News of a feed that its subscriber has left, or that newer news has overtaken; hubs hold no lease."""
    if row["subscriber_state"] != "active":
        return _suppressed(row, "the callback is gone")
    leased = row["lease_until"] is not None and row["lease_ended"] is None and row["lease_until"] > now
    if not leased and row["role"] != SubscriberRole.CHANNEL:
        return _suppressed(row, "the lease has ended")
    return _suppressed(row, OVERTAKEN) if (row["newest"] or 0) > row["major"] else None


def _is_wanted(row: Mapping[str, Any]) -> bool:
    """Whether a confirmation still serves: not one that an earlier letter has made superfluous."""
    if row["subscription_state"] == SubscriptionState.PENDING:
        return True
    confirmed: datetime | None = row["confirmed_at"]
    active = row["subscription_state"] == SubscriptionState.ACTIVE
    return active and (confirmed is None or row["created_at"] > confirmed)


def _hidden(row: Mapping[str, Any], kind: MessageKind, now: datetime) -> Settlement | None:
    shown = standing(State(row["release_state"]), row["public_at"], row["opened_at"], now)
    if shown is (Standing.WITHDRAWN if kind is MessageKind.WITHDRAWAL else Standing.PUBLIC):
        return None
    if shown is Standing.HIDDEN and row["opened_at"] is not None and row["public_at"] > now:
        # The clock was set back. It opened once and will be seen again: wait, do not lose it.
        reason = "the release's time has not come"
        return Settlement(
            row["delivery"], DeliveryState.DEFERRED, reason=reason, due_at=row["public_at"], counted=False
        )
    return _suppressed(row, f"the release is {shown}")


def _suppressed(row: Mapping[str, Any], reason: str) -> Settlement:
    return Settlement(row["delivery"], DeliveryState.SUPPRESSED, reason=reason, counted=False)


def _claimed(row: Mapping[str, Any]) -> Claimed:
    return Claimed(
        id=row["delivery"],
        message=message_of(row),
        subscriber=row["subscriber_id"],
        subscription=row["delivery_subscription"],
        channel=ChannelKind(row["channel"]),
        address=row["address"],
        resolved=row["resolved"],
        role=row["role"],
        language=row["language"],
        timezone=row["timezone"],
        lang=row["lang"],
        filter=row["canonical"] or "",
        attempts=row["attempts"],
        resent=row["resent"],
        answer=row["answer"],
    )


def _settling(one: Settlement, now: datetime) -> dict[str, Any]:
    again = one.state in (DeliveryState.DUE, DeliveryState.DEFERRED)
    return {
        "delivery": one.delivery,
        "state": str(one.state),
        "reason": one.reason,
        "back": 0 if one.counted else 1,
        "answered": 0 if one.answer is None else 1,
        "answer": {} if one.answer is None else dict(one.answer),
        "resent": -1 if one.resent is None else int(one.resent),
        "yes": True,
        "no": False,
        "due_at": one.due_at or (now if again else None),
        "settled_at": None if again else now,
        "leaves": int(one.state is DeliveryState.DEFERRED),
    }
