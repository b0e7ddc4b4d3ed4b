"""Subscriptions and the record of consent. Subscribers (`people`, `resting`, `moving`) go by this name too.

Rules, in order:

1. A subscription is of a filter that it shares with others (`filters`).
2. A subscriber has at most one live subscription of a filter; the database forbids a second.
3. Rows are never deleted: one that ended stays as the record of who agreed to what, when and where.
4. What is not confirmed changes nothing that is active: a stranger cannot alter somebody's subscription.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, MessageKind, SubscriptionState
from syndicator.store.filters import share_filter
from syndicator.store.moving import MERGED, move, now_known_as, respell
from syndicator.store.people import (
    ASKED,
    LIVE,
    Subscriber,
    by_id,
    channels_ever,
    configured_channels,
    ensure,
    find,
    hold,
    resolve,
    set_language,
    set_quiet,
    set_reading,
    subscriber_of,
)
from syndicator.store.resting import back, next_resume, pause, rest, resume, resume_due
from syndicator.store.tables import FILTER, MESSAGE, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.wanted import tell

__all__ = [
    "ASKED",
    "Consent",
    "Subscriber",
    "Subscription",
    "back",
    "by_id",
    "channels_ever",
    "configured_channels",
    "confirm",
    "counts",
    "end",
    "end_all",
    "end_pending",
    "end_stale_pending",
    "ensure",
    "everyone",
    "find",
    "get",
    "hold",
    "live_heir",
    "move",
    "next_resume",
    "of",
    "pause",
    "resolve",
    "respell",
    "rest",
    "resume",
    "resume_due",
    "set_language",
    "set_quiet",
    "set_reading",
    "subscribe",
]

PAGE = 1000
CHANGED = "changed"  # the reason of an end after which another one took its place
_ROWS = select(SUBSCRIPTION, FILTER.c.canonical).join_from(
    SUBSCRIPTION, FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber asked for, with its consent record. `filter` is the canonical text."""

    id: int
    subscriber: int
    filter: str
    cadence: Cadence
    state: SubscriptionState
    created_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    ended_reason: str
    consent_at: datetime | None
    consent_source: str
    consent_text: str


@dataclass(frozen=True, slots=True)
class Consent:
    """When, where and to what words somebody agreed."""

    at: datetime
    source: str
    text: str


async def subscribe(
    session: AsyncSession,
    subscriber: int,
    filter_: Filter,
    *,
    cadence: Cadence,
    state: SubscriptionState,
    consent: Consent | None,
    now: datetime,
) -> Subscription:
    """A live subscription of that filter, or the one that exists (a pending one becomes active if state is active).

    A changed cadence ends the old row and makes a new one, so that history stays. A pending wish leaves a live
    subscription as it is, and is answered with that one.
    """
    shared = await share_filter(session, filter_)
    here = (SUBSCRIPTION.c.subscriber_id == subscriber) & (SUBSCRIPTION.c.filter_id == shared) & LIVE
    old = await _one(session, here)
    if old is not None:
        if state is SubscriptionState.PENDING:
            return old
        if old.cadence is cadence:
            return await _renew(session, old, consent, now)
        await end(session, old.id, CHANGED, now)
    values = {
        "subscriber_id": subscriber,
        "filter_id": shared,
        "cadence": cadence,
        "state": state,
        "created_at": now,
        "confirmed_at": now if state is SubscriptionState.ACTIVE else None,
        "ended_reason": "",
        **_consent(consent),
    }
    made = await session.scalar(insert(SUBSCRIPTION).values(values).returning(SUBSCRIPTION.c.id))
    if cadence is not Cadence.IMMEDIATE:
        tell(session)  # it may bring digest windows that nobody waited for before
    return await _sure(session, int(made or 0))


async def confirm(session: AsyncSession, subscription: int, now: datetime) -> Subscription | None:
    """Pending -> active; idempotent; None when there is none or it has ended."""
    pending = (SUBSCRIPTION.c.id == subscription) & (SUBSCRIPTION.c.state == SubscriptionState.PENDING)
    values = {"state": SubscriptionState.ACTIVE, "confirmed_at": now}
    await session.execute(update(SUBSCRIPTION).where(pending).values(values))
    tell(session)
    return await _one(session, (SUBSCRIPTION.c.id == subscription) & LIVE)


async def end(session: AsyncSession, subscription: int, reason: str, now: datetime) -> bool:
    """End one; False if it had ended or there is none."""
    return await _end(session, SUBSCRIPTION.c.id == subscription, reason, now) > 0


async def end_all(session: AsyncSession, subscriber: int, reason: str, now: datetime) -> int:
    """End every live subscription of a subscriber, effective before the next claim; returns how many."""
    return await _end(session, SUBSCRIPTION.c.subscriber_id == subscriber, reason, now)


async def end_pending(session: AsyncSession, subscriber: int, reason: str, now: datetime) -> int:
    """End what waits for a subscriber's yes, as by `end_all`; what they have agreed to goes on."""
    waits = (SUBSCRIPTION.c.subscriber_id == subscriber) & (SUBSCRIPTION.c.state == SubscriptionState.PENDING)
    return await _end(session, waits, reason, now)


async def of(session: AsyncSession, subscriber: int, *, live: bool = True) -> Sequence[Subscription]:
    """A subscriber's subscriptions, oldest first; without `live`, the ended ones too."""
    query = _ROWS.where(SUBSCRIPTION.c.subscriber_id == subscriber).order_by(SUBSCRIPTION.c.id)
    rows = await session.execute(query.where(LIVE) if live else query)
    return [_subscription(row) for row in rows.mappings()]


async def get(session: AsyncSession, subscription: int) -> Subscription | None:
    """By id, in whatever state."""
    return await _one(session, SUBSCRIPTION.c.id == subscription)


async def live_heir(session: AsyncSession, old: Subscription) -> Subscription | None:
    """The live subscription of the same filter that took this one's place (another cadence, a merge); None: none."""
    if old.ended_reason not in (CHANGED, MERGED):
        return None
    same = select(SUBSCRIPTION.c.filter_id).where(SUBSCRIPTION.c.id == old.id).scalar_subquery()
    theirs = SUBSCRIPTION.c.subscriber_id == await now_known_as(session, old.subscriber)
    return await _one(session, theirs & (SUBSCRIPTION.c.filter_id == same) & LIVE)


async def end_stale_pending(session: AsyncSession, before: datetime, now: datetime) -> int:
    """End opt-ins that were asked for before that time and never confirmed; asking again counts anew."""
    asked_since = exists().where(
        MESSAGE.c.subscription_id == SUBSCRIPTION.c.id,
        MESSAGE.c.kind == MessageKind.CONFIRMATION,
        MESSAGE.c.created_at >= before,
    )
    stale = (SUBSCRIPTION.c.state == SubscriptionState.PENDING) & (SUBSCRIPTION.c.created_at < before) & ~asked_since
    return await _end(session, stale, "never confirmed", now)


async def everyone(session: AsyncSession) -> AsyncIterator[tuple[Subscriber, Subscription]]:
    """All subscriptions, ended ones too, with their subscribers, by id, in pages; for listing and export."""
    last = 0
    while True:
        page = _ROWS.where(SUBSCRIPTION.c.id > last).order_by(SUBSCRIPTION.c.id).limit(PAGE)
        found = [_subscription(row) for row in (await session.execute(page)).mappings()]
        if not found:
            return
        ids = {one.subscriber for one in found}
        rows = await session.execute(select(SUBSCRIBER).where(SUBSCRIBER.c.id.in_(ids)))
        people = {row["id"]: subscriber_of(row) for row in rows.mappings()}
        for one in found:
            yield people[one.subscriber], one
        last = found[-1].id


async def counts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """Live subscriptions by (channel, state)."""
    query = (
        select(SUBSCRIBER.c.channel, SUBSCRIPTION.c.state, func.count())
        .join_from(SUBSCRIPTION, SUBSCRIBER, SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id)
        .where(LIVE)
        .group_by(SUBSCRIBER.c.channel, SUBSCRIPTION.c.state)
    )
    return {(channel, state): number for channel, state, number in await session.execute(query)}


async def _renew(session: AsyncSession, old: Subscription, consent: Consent | None, now: datetime) -> Subscription:
    """They agreed: the consent to what still waited for one counts; an active one keeps what it has."""
    if old.state is SubscriptionState.PENDING and consent is not None:
        await session.execute(update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == old.id).values(_consent(consent)))
    await confirm(session, old.id, now)
    return await _sure(session, old.id)


async def _end(session: AsyncSession, which: Any, reason: str, now: datetime) -> int:
    values = {"state": SubscriptionState.ENDED, "ended_at": now, "ended_reason": reason}
    query = update(SUBSCRIPTION).where(which, LIVE).values(values).returning(SUBSCRIPTION.c.id)
    return len((await session.execute(query)).all())


async def _one(session: AsyncSession, which: Any) -> Subscription | None:
    row = (await session.execute(_ROWS.where(which))).mappings().one_or_none()
    return None if row is None else _subscription(row)


async def _sure(session: AsyncSession, subscription: int) -> Subscription:
    row = (await session.execute(_ROWS.where(SUBSCRIPTION.c.id == subscription))).mappings().one()
    return _subscription(row)


def _consent(consent: Consent | None) -> dict[str, Any]:
    if consent is None:
        return {"consent_at": None, "consent_source": "", "consent_text": ""}
    return {"consent_at": consent.at, "consent_source": consent.source, "consent_text": consent.text}


def _subscription(row: RowMapping) -> Subscription:
    return Subscription(
        id=row["id"],
        subscriber=row["subscriber_id"],
        filter=row["canonical"],
        cadence=Cadence(row["cadence"]),
        state=SubscriptionState(row["state"]),
        created_at=row["created_at"],
        confirmed_at=row["confirmed_at"],
        ended_at=row["ended_at"],
        ended_reason=row["ended_reason"],
        consent_at=row["consent_at"],
        consent_source=row["consent_source"],
        consent_text=row["consent_text"],
    )
