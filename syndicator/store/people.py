"""Subscribers: an address on a channel, with the language, the zone and the state of who stands behind it.

Rules, in order:

1. One row an address and channel, whoever asks how often and however they spell it: a mail address counts and is
   kept in lower case (docs/decisions/0006), so that no spelling of it is a second person.
2. A paused subscriber (blocked, bounced) keeps every subscription and gets nothing until resumed.
3. A person who moves takes subscriptions and unsent deliveries along, also to an address that we know already;
   a configured channel keeps its address as written, and only `resolved` follows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.store.tables import DELIVERY, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

__all__ = [
    "Subscriber",
    "by_id",
    "configured_channels",
    "ensure",
    "find",
    "move",
    "pause",
    "resolve",
    "resume",
    "set_language",
    "set_reading",
    "subscriber_of",
]

ACTIVE = "active"
PAUSED = "paused"
UNSENT = (DeliveryState.DUE, DeliveryState.DEFERRED, DeliveryState.SENDING)
LIVE = SUBSCRIPTION.c.state != SubscriptionState.ENDED


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An address on a channel. `state` is active or paused."""

    id: int
    channel: ChannelKind
    address: str
    role: SubscriberRole
    resolved: str
    language: str
    timezone: str
    other_language: OtherLanguage
    state: str
    created_at: datetime

    @property
    def is_paused(self) -> bool:
        """Whether nothing is sent until they are resumed."""
        return self.state == PAUSED


async def find(session: AsyncSession, channel: ChannelKind, address: str) -> Subscriber | None:
    """By address, in any spelling that means the same."""
    return await _one(session, (SUBSCRIBER.c.channel == channel) & (SUBSCRIBER.c.address == _key(channel, address)))


async def by_id(session: AsyncSession, subscriber: int) -> Subscriber | None:
    """By id."""
    return await _one(session, SUBSCRIBER.c.id == subscriber)


async def ensure(
    session: AsyncSession,
    channel: ChannelKind,
    address: str,
    *,
    language: str,
    timezone: str,
    now: datetime,
    role: SubscriberRole = SubscriberRole.PERSON,
) -> Subscriber:
    """The subscriber with that address, made if new (language and timezone are only set then).

    A chat that the configuration names becomes a channel, also if it had signed up by itself.
    """
    insert = insert_for(session, SUBSCRIBER).values(
        channel=channel,
        address=_key(channel, address),
        role=role,
        resolved="",
        language=language,
        timezone=timezone,
        other_language=OtherLanguage.URGENT,
        state=ACTIVE,
        state_reason="",
        created_at=now,
    )
    await session.execute(insert.on_conflict_do_nothing(index_elements=["channel", "address"]))
    found = await find(session, channel, address)
    if found is None:
        raise LookupError(f"subscriber {channel}: vanished between two statements")
    if role is SubscriberRole.CHANNEL and found.role is not role:
        await _set(session, found.id, role=role)
        found = await by_id(session, found.id) or found
    return found


async def set_language(session: AsyncSession, subscriber: int, language: str) -> None:
    """The language they read."""
    await _set(session, subscriber, language=language)


async def set_reading(
    session: AsyncSession, subscriber: int, *, timezone: str | None = None, other_language: OtherLanguage | None = None
) -> None:
    """Their time zone, and whether another language will do; None leaves it as it is."""
    values = {"timezone": timezone, "other_language": other_language}
    if given := {name: value for name, value in values.items() if value is not None}:
        await _set(session, subscriber, **given)


async def pause(session: AsyncSession, subscriber: int, reason: str) -> None:
    """Blocked or bounced: nothing more is sent; subscriptions stay."""
    await _set(session, subscriber, state=PAUSED, state_reason=reason)


async def resume(session: AsyncSession, subscriber: int) -> None:
    """They are back."""
    await _set(session, subscriber, state=ACTIVE, state_reason="")


async def resolve(session: AsyncSession, subscriber: int, resolved: str) -> None:
    """Keep what the channel calls the address."""
    await _set(session, subscriber, resolved=resolved)


async def move(session: AsyncSession, subscriber: int, address: str) -> None:
    """The channel says the address changed: a person's is replaced, merging if taken; a channel keeps it as `resolved`.

    Moving twice, or a subscriber that is gone, changes nothing.
    """
    mover = await by_id(session, subscriber)
    if mover is None or _key(mover.channel, address) in (mover.address, mover.resolved):
        return
    if mover.role is SubscriberRole.CHANNEL:
        await resolve(session, subscriber, address)
        return
    taken = await find(session, mover.channel, address)
    if taken is None:
        await _set(session, subscriber, address=_key(mover.channel, address), resolved="")
        return
    await _hand_over(session, subscriber, taken.id)
    await pause(session, subscriber, f"moved to subscriber {taken.id}")


async def configured_channels(session: AsyncSession) -> Sequence[Subscriber]:
    """Subscribers with role channel that have a live subscription, oldest first."""
    live = exists().where(SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id, LIVE)
    query = select(SUBSCRIBER).where(SUBSCRIBER.c.role == SubscriberRole.CHANNEL, live).order_by(SUBSCRIBER.c.id)
    return [subscriber_of(row) for row in (await session.execute(query)).mappings()]


def subscriber_of(row: RowMapping) -> Subscriber:
    """A subscriber from its row."""
    return Subscriber(
        id=row["id"],
        channel=ChannelKind(row["channel"]),
        address=row["address"],
        role=SubscriberRole(row["role"]),
        resolved=row["resolved"],
        language=row["language"],
        timezone=row["timezone"],
        other_language=OtherLanguage(row["other_language"]),
        state=row["state"],
        created_at=row["created_at"],
    )


def _key(channel: ChannelKind, address: str) -> str:
    """The one spelling of an address."""
    return unicodedata.normalize("NFC", address.lower()) if channel is ChannelKind.EMAIL else address


async def _one(session: AsyncSession, condition: Any) -> Subscriber | None:
    row = (await session.execute(select(SUBSCRIBER).where(condition))).mappings().one_or_none()
    return None if row is None else subscriber_of(row)


async def _set(session: AsyncSession, subscriber: int, **values: Any) -> None:
    await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == subscriber).values(values))


async def _hand_over(session: AsyncSession, old: int, new: int) -> None:
    """Subscriptions and unsent deliveries go along, but for those that the other already has."""
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
    unsent = update(DELIVERY).where(DELIVERY.c.subscriber_id == old, DELIVERY.c.state.in_(UNSENT))
    await session.execute(unsent.where(~gets_it).values(subscriber_id=new))
