"""Erasing a person: nothing of them is left but counts (docs/decisions/0018).

Rules, in order:

1. Erasing is one transaction (docs/decisions/0018). What stays of the person is a count: that so many messages were
   sent. Of each delivery there are the message and the state, and its times are the message's own; of a subscription
   there is that it was, and on which days. No address, reading, choice, consent, answer or moment of theirs is left.
2. What had not gone out is suppressed, what is on its way too: its answer finds no row that waits for it (`sending`).
3. An erased row is never anybody's again: the same address is a new subscriber. Erasing twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, DeliveryState, SubscriberRole, SubscriptionState
from syndicator.store import applications, readdressing
from syndicator.store.filters import share_filter
from syndicator.store.people import ERASED, PAUSED, UNSENT
from syndicator.store.tables import (
    BOUNCE,
    DELIVERY,
    DIGEST_ITEM,
    DIGEST_RUN,
    FILTER,
    MESSAGE,
    PAUSE,
    READDRESSED,
    SUBSCRIBER,
    SUBSCRIPTION,
)

__all__ = ["Erased", "erase"]


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasing found: so many subscriptions were live, and so many messages had still to go out."""

    subscriptions: int
    unsent: int


async def erase(session: AsyncSession, subscriber: int, now: datetime, *, language: str, timezone: str) -> Erased:
    """Erase a person; `language` and `timezone` are the office's own, which say nothing of anybody."""
    row = await _locked(session, subscriber)
    if row is None:
        return Erased(0, 0)
    ended = await session.execute(
        update(SUBSCRIPTION)
        .where(SUBSCRIPTION.c.subscriber_id == subscriber, SUBSCRIPTION.c.state != SubscriptionState.ENDED)
        .values(state=SubscriptionState.ENDED, ended_at=now)
    )
    await _forget_messages(session, subscriber, now)
    await _forget_choices(session, subscriber)  # after they have ended: of live ones each filter may have but one
    unsent = await _forget_deliveries(session, subscriber)
    await applications.forget(session, subscriber, row["address"])
    await readdressing.forget(session, row["address"])
    chats = [f"chat:{name}" for name in (row["address"], row["resolved"]) if name]
    await session.execute(delete(PAUSE).where(PAUSE.c.scope.in_(chats)))
    nobody = {
        "address": f"{ERASED}-{subscriber}",
        "resolved": "",
        "language": language,
        "timezone": timezone,
        "other_language": "urgent",
        "state": PAUSED,
        "state_reason": ERASED,
        "quiet": "",
        "text_only": False,
        "resume_at": None,
        "heard_at": None,
        "created_at": _day(row["created_at"]),
    }
    await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == subscriber).values(nobody))
    return Erased(int(ended.rowcount), unsent)  # type: ignore[attr-defined]  # an UPDATE has one


async def _locked(session: AsyncSession, subscriber: int) -> RowMapping | None:
    """The person's row, held until the end of the transaction; None where nobody is left to erase."""
    here = (SUBSCRIBER.c.id == subscriber) & (SUBSCRIBER.c.role == SubscriberRole.PERSON)
    query = select(SUBSCRIBER).where(here, SUBSCRIBER.c.state_reason != ERASED).with_for_update()
    return (await session.execute(query)).mappings().one_or_none()


async def _forget_messages(session: AsyncSession, subscriber: int, now: datetime) -> None:
    """What was said to them alone (confirmations, digests when they left a pace), and what came back.

    No zone, pace, moment or other address of theirs is left.
    """
    subscribed = select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.subscriber_id == subscriber)
    elsewhere = select(READDRESSED.c.message_id).where(READDRESSED.c.subscriber_id == subscriber)
    theirs = or_(MESSAGE.c.subscription_id.in_(subscribed), MESSAGE.c.id.in_(elsewhere))
    query = select(MESSAGE.c.id, MESSAGE.c.kind, MESSAGE.c.created_at, MESSAGE.c.fanned_out_at).where(theirs)
    for number, kind, made_at, written_at in (await session.execute(query)).all():
        written = _day(written_at or now)
        said = {"key": f"{kind}:{ERASED}:{number}", "created_at": _day(made_at), "fanned_out_at": written}
        blank = update(MESSAGE).where(MESSAGE.c.id == number).values(again_at=None, matched={})
        await session.execute(blank.values(said))
        window = {"cadence": Cadence.DAILY, "zone": f"#{number}", "begins_at": _day(made_at), "ends_at": _day(made_at)}
        await session.execute(update(DIGEST_RUN).where(DIGEST_RUN.c.message_id == number).values(window))
    await session.execute(delete(READDRESSED).where(READDRESSED.c.subscriber_id == subscriber))
    await session.execute(delete(BOUNCE).where(BOUNCE.c.subscriber_id == subscriber))


async def _forget_choices(session: AsyncSession, subscriber: int) -> None:
    """Subscriptions that have ended: on which days, and nothing else. Words, which may name people, go with them."""
    theirs = SUBSCRIPTION.c.subscriber_id == subscriber
    times = [SUBSCRIPTION.c[name] for name in ("created_at", "confirmed_at", "ended_at")]
    worded = await session.scalars(
        select(FILTER.c.id)
        .join_from(FILTER, SUBSCRIPTION, SUBSCRIPTION.c.filter_id == FILTER.c.id)
        .where(theirs, FILTER.c.has_words)
        .distinct()
    )
    words = list(worded)
    neutral = {
        "filter_id": await share_filter(session, parse("")),
        "cadence": Cadence.IMMEDIATE,
        "ended_reason": ERASED,
        "consent_at": None,
        "consent_source": "",
        "consent_text": "",
    }
    await session.execute(update(SUBSCRIPTION).where(theirs).values(neutral))
    rows = (await session.execute(select(SUBSCRIPTION.c.id, *times).where(theirs))).all()
    days = [{"row": row[0], **{one.name: _day(when) for one, when in zip(times, row[1:], strict=True)}} for row in rows]
    if days:
        shorten = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == bindparam("row"))
        connection = await session.connection()
        await connection.execute(shorten.values({one.name: bindparam(one.name) for one in times}), days)
    others = exists().where(SUBSCRIPTION.c.filter_id == FILTER.c.id)
    await session.execute(delete(FILTER).where(FILTER.c.id.in_(words), ~others))


async def _forget_deliveries(session: AsyncSession, subscriber: int) -> int:
    """Which messages were sent, as counts need it; returns how many had still to go out."""
    theirs = DELIVERY.c.subscriber_id == subscriber
    unsent = await session.execute(
        update(DELIVERY)
        .where(theirs, DELIVERY.c.state.in_(UNSENT))
        .values(state=DeliveryState.SUPPRESSED)
        .returning(DELIVERY.c.id)
    )
    count = len(unsent.all())
    its_own = select(MESSAGE.c.created_at).where(MESSAGE.c.id == DELIVERY.c.message_id).scalar_subquery()
    counted: dict[str, Any] = {
        "subscription_id": None,
        "batch_id": None,
        "lang": "",
        "attempts": 0,
        "crashes": 0,
        "due_at": its_own,
        "claimed_at": None,
        "claimed_by": None,
        "settled_at": its_own,
        "tried_at": None,
        "slowed": 0,
        "handed_at": None,
        "left_at": None,
        "resent": False,
        "reason": "",
        "answer": {},
    }
    read = select(DELIVERY.c.id).where(theirs)
    await session.execute(delete(DIGEST_ITEM).where(DIGEST_ITEM.c.delivery_id.in_(read)))
    await session.execute(update(DELIVERY).where(theirs).values(counted))
    return count


def _day(when: datetime | None) -> datetime | None:
    """The day of a moment, in UTC."""
    return when and when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
