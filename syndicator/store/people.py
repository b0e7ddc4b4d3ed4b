"""Subscribers: an address on a channel, with the language, the zone and the state of who stands behind it.

Rules, in order:

1. One row an address and channel, whoever asks how often and however they spell it: a mail address counts and is
   kept in lower case (docs/decisions/0006), so that no spelling of it is a second person.
2. A paused subscriber (blocked, bounced, asked for it) keeps every subscription and gets nothing until resumed.
3. A pause that was asked for (`rest`) ends at its time or by a word of theirs (`resume`); any other one as soon as they
   show that they are there (`back`). Who is blocked while they rest, and comes back, rests on.
4. A person who moves takes subscriptions and deliveries along, also to an address that we know already;
   a configured channel keeps its address as written, and only `resolved` follows.
5. One who was erased is nobody: no late answer of a channel, and no link in an old mail, makes them somebody again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, case, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.domain.quiet import Quiet
from syndicator.store.tables import DELIVERY, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

__all__ = [
    "ASKED",
    "Subscriber",
    "back",
    "by_id",
    "channels_ever",
    "configured_channels",
    "ensure",
    "find",
    "move",
    "next_resume",
    "pause",
    "resolve",
    "respell",
    "rest",
    "rests",
    "resume",
    "resume_due",
    "set_language",
    "set_quiet",
    "set_reading",
    "subscriber_of",
]

ACTIVE = "active"
PAUSED = "paused"
ASKED = "asked"  # the reason of a pause that its subscriber asked for
WHILE_RESTING = "; had asked for a pause"  # ends the reason of another pause that came while they rested
ERASED = "erased"  # the reason of one who is nobody any more (`store.personal`)
UNSENT = (DeliveryState.DUE, DeliveryState.DEFERRED, DeliveryState.SENDING)
LIVE = SUBSCRIPTION.c.state != SubscriptionState.ENDED


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An address on a channel. `state` is active or paused; `state_reason` says why (`ASKED`: their own wish).

    `resume_at` is when a pause that was asked for ends, None where it has no end. `quiet` are the hours in which only
    what is urgent is sent, as `domain.quiet` writes them; "" for none.
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


async def set_quiet(session: AsyncSession, subscriber: int, quiet: Quiet | None) -> None:
    """The hours in which they want only what is urgent; None for none."""
    await _set(session, subscriber, quiet="" if quiet is None else str(quiet))


async def pause(session: AsyncSession, subscriber: int, reason: str) -> None:
    """Blocked or bounced: nothing more is sent; subscriptions stay. A rest that was asked for is remembered."""
    rested = (SUBSCRIBER.c.state_reason == ASKED) | SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING)
    why = case((rested, reason + WHILE_RESTING), else_=reason)
    await _set(session, subscriber, state=PAUSED, state_reason=why)


def rests() -> ColumnElement[bool]:
    """Whether a subscriber is paused by their own wish, and perhaps by ours besides."""
    asked = or_(SUBSCRIBER.c.state_reason == ASKED, SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING))
    return and_(SUBSCRIBER.c.state == PAUSED, asked)


async def rest(session: AsyncSession, subscriber: int, until: datetime | None) -> None:
    """They want nothing until then (None: until they say so). Asked again, the new time counts."""
    await _set(session, subscriber, state=PAUSED, state_reason=ASKED, resume_at=until)


async def resume(session: AsyncSession, subscriber: int) -> None:
    """Whatever paused them ends: they said so."""
    await _set(session, subscriber, state=ACTIVE, state_reason="", resume_at=None)


async def back(session: AsyncSession, subscriber: int, now: datetime) -> None:
    """They show that they are there: a pause of ours ends, one that they asked for goes on to its time."""
    ours = SUBSCRIBER.c.state_reason.not_in((ASKED, ERASED))
    blocked = (SUBSCRIBER.c.id == subscriber) & (SUBSCRIBER.c.state == PAUSED) & ours
    rests = SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING)
    holds = rests & (SUBSCRIBER.c.resume_at.is_(None) | (SUBSCRIBER.c.resume_at > now))
    await session.execute(update(SUBSCRIBER).where(blocked, holds).values(state_reason=ASKED))
    active = {"state": ACTIVE, "state_reason": "", "resume_at": None}
    await session.execute(update(SUBSCRIBER).where(blocked).values(active))


async def resume_due(session: AsyncSession, now: datetime) -> Sequence[int]:
    """End every rest whose time has come; who was blocked meanwhile stays so. Returns who rests no more."""
    due = SUBSCRIBER.c.resume_at.is_not(None) & (SUBSCRIBER.c.resume_at <= now)
    rested = due & (SUBSCRIBER.c.state_reason == ASKED)
    active = {"state": ACTIVE, "state_reason": "", "resume_at": None}
    ended = list(await session.scalars(update(SUBSCRIBER).where(rested).values(active).returning(SUBSCRIBER.c.id)))
    why = func.replace(SUBSCRIBER.c.state_reason, WHILE_RESTING, "")
    await session.execute(update(SUBSCRIBER).where(due).values(state_reason=why, resume_at=None))
    return ended


async def next_resume(session: AsyncSession) -> datetime | None:
    """When the next rest ends."""
    query = select(func.min(SUBSCRIBER.c.resume_at)).where(SUBSCRIBER.c.resume_at.is_not(None))
    found: datetime | None = await session.scalar(query)
    return found


async def resolve(session: AsyncSession, subscriber: int, resolved: str) -> None:
    """Keep what the channel calls the address."""
    await _set(session, subscriber, resolved=resolved)


async def move(session: AsyncSession, subscriber: int, address: str) -> None:
    """The channel says the address changed: a person's is replaced, merging if taken; a channel keeps it as `resolved`.

    Moving twice, or a subscriber that is gone or was erased, changes nothing.
    """
    mover = await by_id(session, subscriber)
    if mover is None or mover.is_erased or _key(mover.channel, address) in (mover.address, mover.resolved):
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


async def respell(session: AsyncSession, channel: int, address: str) -> None:
    """The configuration writes a channel otherwise: it goes on under that address, with whoever had it before."""
    known = await by_id(session, channel)
    taken = None if known is None else await find(session, known.channel, address)
    if taken is None:
        await _set(session, channel, address=address)
    elif taken.id != channel:
        await _hand_over(session, channel, taken.id)


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
        state_reason=row["state_reason"],
        resume_at=row["resume_at"],
    )


def _key(channel: ChannelKind, address: str) -> str:
    """The one spelling of an address."""
    return unicodedata.normalize("NFC", address.lower()) if channel is ChannelKind.EMAIL else address


async def _one(session: AsyncSession, condition: Any) -> Subscriber | None:
    row = (await session.execute(select(SUBSCRIBER).where(condition))).mappings().one_or_none()
    return None if row is None else subscriber_of(row)


async def _set(session: AsyncSession, subscriber: int, **values: Any) -> None:
    somebody = (SUBSCRIBER.c.id == subscriber) & (SUBSCRIBER.c.state_reason != ERASED)
    await session.execute(update(SUBSCRIBER).where(somebody).values(values))


async def _hand_over(session: AsyncSession, old: int, new: int) -> None:
    """Subscriptions and deliveries go along, but for those that the other has: what was sent is followed, too."""
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
    theirs = update(DELIVERY).where(DELIVERY.c.subscriber_id == old)
    await session.execute(theirs.where(~gets_it).values(subscriber_id=new))
