"""Claiming: which rows are ours to send now.

Rules, in order:

1. A claim is committed before the network is touched. Two workers never claim the same row: SQLite has one writer,
   PostgreSQL skips rows that another one holds.
2. What may not be sent any more is suppressed by the claim itself, and what must wait is deferred (`holding`): an
   unsubscribing counts from its commit on. What another subscription of the same person still wants goes out by that
   one (`heirs`).
3. What follows a release is claimed knowing all that the ledger has about it and this reader (`told`).
4. A claim says at which change its release stands, where nobody can have changed it before the claim is committed: with
   SQLite's one writer. What is changed after that finds the row `sending`, and follows it (`following`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, MessageKind, SubscriptionState
from syndicator.store import digests
from syndicator.store.batching import close_idle
from syndicator.store.heirs import inherit
from syndicator.store.holding import held_back, is_hushed, nothing_left
from syndicator.store.messages import Message, message_of
from syndicator.store.sending import settle
from syndicator.store.tables import (
    DELIVERY,
    FILTER,
    HUB_LEASE,
    HUB_TOPIC,
    MESSAGE,
    READDRESSED,
    RELEASE,
    SUBSCRIBER,
    SUBSCRIPTION,
    UtcTime,
)
from syndicator.store.told import Told, look

__all__ = ["Claimed", "claim"]


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
    text_only: bool = False
    hushed: bool = False  # they have left, or asked for a pause: their copies follow without a word
    told: Sequence[Told] = ()  # what they have of the release, of what follows one; oldest first
    change: int | None = None  # of its release (rule 4); None: not certain, or no release


UTC = ZoneInfo("UTC")

_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id AS chosen FROM delivery WHERE batch_id = :batch AND state = 'due'
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

_FACTS = (
    select(
        DELIVERY.c.id.label("delivery"),
        *(DELIVERY.c[name] for name in ("subscriber_id", "lang", "attempts", "resent", "answer")),
        DELIVERY.c.subscription_id.label("delivery_subscription"),
        *(SUBSCRIBER.c[name] for name in ("channel", "resolved", "role", "language", "timezone", "text_only")),
        func.coalesce(READDRESSED.c.address, SUBSCRIBER.c.address).label("address"),
        READDRESSED.c.done_at.label("moved_at"),
        SUBSCRIBER.c.other_language,
        SUBSCRIBER.c.state.label("subscriber_state"),
        *(SUBSCRIBER.c[name] for name in ("state_reason", "quiet")),
        SUBSCRIPTION.c.state.label("subscription_state"),
        SUBSCRIPTION.c.confirmed_at,
        FILTER.c.canonical,
        RELEASE.c.state.label("release_state"),
        RELEASE.c.public_at,
        RELEASE.c.opened_at,
        RELEASE.c.change,
        HUB_LEASE.c.until.label("lease_until"),
        HUB_LEASE.c.ended_at.label("lease_ended"),
        HUB_TOPIC.c.number.label("newest"),
        *MESSAGE.c,
    )
    .select_from(DELIVERY)
    .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
    .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
    .outerjoin(READDRESSED, READDRESSED.c.message_id == DELIVERY.c.message_id)
    .outerjoin(SUBSCRIPTION, SUBSCRIPTION.c.id == DELIVERY.c.subscription_id)
    .outerjoin(FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
    .outerjoin(RELEASE, RELEASE.c.id == MESSAGE.c.release_id)
    .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
    .outerjoin(HUB_TOPIC, HUB_TOPIC.c.name == MESSAGE.c.feed)
    .order_by(DELIVERY.c.id)
)


async def claim(
    session: AsyncSession, batch: int, now: datetime, limit: int, *, edits: bool = False, zone: ZoneInfo = UTC
) -> Sequence[Claimed]:
    """Move up to `limit` rows of a batch from due to sending, oldest first, attempts + 1.

    Rows that may not be sent any more become `suppressed`, those that must wait `deferred`, and others take their
    places. `edits` says that the batch's channel can change what it sent; `zone` is the office's. Empty: nothing was
    due; the batch is closed then, unless rows of it are still being sent.
    """
    dialect = session.get_bind().dialect.name
    query = CLAIM[dialect]
    while True:
        picked = await session.scalars(query, {"batch": batch, "now": now, "limit": limit})
        numbers = list(picked)
        if not numbers:
            await close_idle(session, now, batch)
            return []
        rows = await _inherited(session, (await session.execute(_FACTS.where(DELIVERY.c.id.in_(numbers)))).mappings())
        told = await look(session, rows, now)
        bare = await digests.bare(session, [row["delivery"] for row in rows if row["kind"] == MessageKind.DIGEST], now)
        held = {
            row["delivery"]: nothing_left(row, bare)
            or held_back(row, now, told.get(row["delivery"], ()), edits=edits, zone=zone)
            for row in rows
        }
        await settle(session, [one for one in held.values() if one is not None], now)
        going = [row for row in rows if held[row["delivery"]] is None]
        if going:
            return [_claimed(row, told.get(row["delivery"], ()), alone=dialect == "sqlite") for row in going]


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
    kind = MessageKind(row["kind"])
    inherited = kind is MessageKind.DIGEST or (kind is not MessageKind.CONFIRMATION and row["release_id"] is not None)
    return inherited and row["subscription_state"] != SubscriptionState.ACTIVE


def _claimed(row: Mapping[str, Any], told: Sequence[Told], *, alone: bool) -> Claimed:
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
        text_only=row["text_only"],
        hushed=is_hushed(row),
        told=[one for one in told if one.is_answered],
        change=row["change"] if alone else None,
    )
