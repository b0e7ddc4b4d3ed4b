"""Subscribers, their subscriptions, shared filters and the record of consent. CONTRACT, to be filled in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriberRole, SubscriptionState


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An address on a channel."""

    id: int
    channel: ChannelKind
    address: str
    role: SubscriberRole
    resolved: str
    language: str
    timezone: str
    other_language: OtherLanguage
    state: str  # active | paused
    created_at: datetime


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


async def find(session: AsyncSession, channel: ChannelKind, address: str) -> Subscriber | None:
    raise NotImplementedError


async def by_id(session: AsyncSession, subscriber: int) -> Subscriber | None:
    raise NotImplementedError


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
    """The subscriber with that address, made if new (language and timezone are only set then)."""
    raise NotImplementedError


async def set_language(session: AsyncSession, subscriber: int, language: str) -> None:
    raise NotImplementedError


async def set_reading(
    session: AsyncSession, subscriber: int, *, timezone: str | None = None, other_language: OtherLanguage | None = None
) -> None:
    raise NotImplementedError


async def pause(session: AsyncSession, subscriber: int, reason: str) -> None:
    """Blocked or bounced: nothing more is sent; subscriptions stay."""
    raise NotImplementedError


async def resume(session: AsyncSession, subscriber: int) -> None:
    raise NotImplementedError


async def resolve(session: AsyncSession, subscriber: int, resolved: str) -> None:
    """Keep what the channel calls the address."""
    raise NotImplementedError


async def move(session: AsyncSession, subscriber: int, address: str) -> None:
    """The channel says the address changed: a person's address is replaced (merging if taken); a channel's `resolved` is."""
    raise NotImplementedError


async def share_filter(session: AsyncSession, filter_: Filter) -> int:
    """The id of the row of that filter, made if new, with its terms."""
    raise NotImplementedError


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
    A changed cadence ends the old row and makes a new one, so that history stays."""
    raise NotImplementedError


async def confirm(session: AsyncSession, subscription: int, now: datetime) -> Subscription | None:
    """Pending -> active; idempotent; None when there is none or it has ended."""
    raise NotImplementedError


async def end(session: AsyncSession, subscription: int, reason: str, now: datetime) -> bool:
    raise NotImplementedError


async def end_all(session: AsyncSession, subscriber: int, reason: str, now: datetime) -> int:
    """End every live subscription of a subscriber, effective before the next claim; returns how many."""
    raise NotImplementedError


async def of(session: AsyncSession, subscriber: int, *, live: bool = True) -> Sequence[Subscription]:
    raise NotImplementedError


async def get(session: AsyncSession, subscription: int) -> Subscription | None:
    raise NotImplementedError


async def pending_since(session: AsyncSession, subscriber: int, since: datetime) -> int:
    """How many confirmation messages this subscriber was sent since then; for the limit against mail-bombing."""
    raise NotImplementedError


async def end_stale_pending(session: AsyncSession, before: datetime, now: datetime) -> int:
    """End opt-ins never confirmed."""
    raise NotImplementedError


async def configured_channels(session: AsyncSession) -> Sequence[Subscriber]:
    """Subscribers with role channel that have a live subscription."""
    raise NotImplementedError


def everyone(session: AsyncSession) -> AsyncIterator[tuple[Subscriber, Subscription]]:
    """All subscriptions with their subscribers, by id, in pages; for listing and export."""
    raise NotImplementedError


async def counts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """Live subscriptions by (channel, state)."""
    raise NotImplementedError
