"""Subscribers: an address on a channel, with the language, the zone and the state of who stands behind it.

Rules, in order:

1. One row an address and channel, whoever asks how often and however they spell it: a mail address counts and is
   kept in lower case (docs/decisions/0006), so that no spelling of it is a second person.
2. A paused subscriber (blocked, bounced, asked for it) keeps every subscription and gets nothing until resumed
   (`resting`).
3. A configured channel keeps its address as written, and only `resolved` follows; a person moves (`moving`).
4. One who was erased is nobody: no late answer of a channel, and no link in an old mail, makes them somebody again.
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
from syndicator.domain.quiet import Quiet
from syndicator.store.tables import SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

__all__ = [
    "ASKED",
    "Subscriber",
    "by_id",
    "channels_ever",
    "configured_channels",
    "ensure",
    "find",
    "hold",
    "put",
    "resolve",
    "set_language",
    "set_quiet",
    "set_reading",
    "spelling",
    "subscriber_of",
]

ACTIVE = "active"
PAUSED = "paused"
ASKED = "asked"  # the reason of a pause that its subscriber asked for
ERASED = "erased"  # the reason of one who is nobody any more (`store.personal`)
UNSENT = (DeliveryState.DUE, DeliveryState.DEFERRED, DeliveryState.SENDING)
LIVE = SUBSCRIPTION.c.state != SubscriptionState.ENDED
_TRIES = 5  # how often one address may change hands while a row of it is waited for


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An address on a channel. `state` is active or paused; `state_reason` says why (`ASKED`: their own wish).

    `resume_at` is when a pause that was asked for ends, None where it has no end. `quiet` are the hours in which only
    what is urgent is sent, as `domain.quiet` writes them; "" for none. `text_only`: their mails have no HTML.
    """

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
    quiet: str = ""
    text_only: bool = False
    state_reason: str = ""
    resume_at: datetime | None = None

    @property
    def is_paused(self) -> bool:
        """Whether nothing is sent until they are resumed."""
        return self.state == PAUSED

    @property
    def is_erased(self) -> bool:
        """Whether they were erased, and are nobody now."""
        return self.state_reason == ERASED

    @property
    def is_resting(self) -> bool:
        """Whether they are paused by their own wish."""
        return self.is_paused and self.state_reason == ASKED


async def find(session: AsyncSession, channel: ChannelKind, address: str) -> Subscriber | None:
    """By address, in any spelling that means the same."""
    return await _one(session, (SUBSCRIBER.c.channel == channel) & (SUBSCRIBER.c.address == spelling(channel, address)))


async def hold(session: AsyncSession, subscriber: int) -> None:
    """Keep the row until the transaction ends; who writes about a subscriber in several tables takes it first."""
    await session.execute(select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.id == subscriber).with_for_update())


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

    The row is held until the transaction ends: whoever is being erased or moved away just now is waited for, and what
    is left of them is nobody with that address. A chat that the configuration names becomes a channel, also if it had
    signed up by itself.
    """
    insert = insert_for(session, SUBSCRIBER).values(
        channel=channel,
        address=spelling(channel, address),
        role=role,
        resolved="",
        language=language,
        timezone=timezone,
        other_language=OtherLanguage.URGENT,
        state=ACTIVE,
        state_reason="",
        created_at=now,
    )
    theirs = (SUBSCRIBER.c.channel == channel) & (SUBSCRIBER.c.address == spelling(channel, address))
    held = select(SUBSCRIBER).where(theirs).with_for_update(key_share=True)
    for _ in range(_TRIES):
        await session.execute(insert.on_conflict_do_nothing(index_elements=["channel", "address"]))
        if (row := (await session.execute(held)).mappings().one_or_none()) is not None:
            found = subscriber_of(row)
            break
    else:
        raise LookupError(f"subscriber {channel}: vanished between two statements")
    if role is SubscriberRole.CHANNEL and found.role is not role:
        await put(session, found.id, role=role)
        found = await by_id(session, found.id) or found
    return found


async def set_language(session: AsyncSession, subscriber: int, language: str) -> None:
    """The language they read."""
    await put(session, subscriber, language=language)


async def set_reading(
    session: AsyncSession,
    subscriber: int,
    *,
    timezone: str | None = None,
    other_language: OtherLanguage | None = None,
    text_only: bool | None = None,
) -> None:
    """Their time zone, whether another language will do, and mails without HTML; None leaves it as it is."""
    values = {"timezone": timezone, "other_language": other_language, "text_only": text_only}
    if given := {name: value for name, value in values.items() if value is not None}:
        await put(session, subscriber, **given)


async def set_quiet(session: AsyncSession, subscriber: int, quiet: Quiet | None) -> None:
    """The hours in which they want only what is urgent; None for none."""
    await put(session, subscriber, quiet="" if quiet is None else str(quiet))


async def resolve(session: AsyncSession, subscriber: int, resolved: str) -> None:
    """Keep what the channel calls the address."""
    await put(session, subscriber, resolved=resolved)


async def channels_ever(session: AsyncSession, kind: ChannelKind) -> Sequence[Subscriber]:
    """Subscribers of that kind with role channel, also those that the configuration names no more, oldest first."""
    ours = (SUBSCRIBER.c.role == SubscriberRole.CHANNEL) & (SUBSCRIBER.c.channel == kind)
    rows = await session.execute(select(SUBSCRIBER).where(ours).order_by(SUBSCRIBER.c.id))
    return [subscriber_of(row) for row in rows.mappings()]


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
        quiet=row["quiet"],
        text_only=row["text_only"],
        state_reason=row["state_reason"],
        resume_at=row["resume_at"],
    )


def spelling(channel: ChannelKind, address: str) -> str:
    """The one spelling of an address. A keyboard that begins a name with İ means i, and no dot above it."""
    if channel is not ChannelKind.EMAIL:
        return address
    lower = unicodedata.normalize("NFC", address).lower()
    return unicodedata.normalize("NFC", lower.replace("i\u0307", "i"))


async def _one(session: AsyncSession, condition: Any) -> Subscriber | None:
    row = (await session.execute(select(SUBSCRIBER).where(condition))).mappings().one_or_none()
    return None if row is None else subscriber_of(row)


async def put(session: AsyncSession, subscriber: int, **values: Any) -> None:
    """Change them, unless they were erased (rule 4)."""
    somebody = (SUBSCRIBER.c.id == subscriber) & (SUBSCRIBER.c.state_reason != ERASED)
    await session.execute(update(SUBSCRIBER).where(somebody).values(values))
