"""The ledger: messages, their deliveries, batches, and every move of a delivery's state. CONTRACT, to be filled in.

due -> sending -> sent | deferred | failed | unknown | suppressed; every move is compare-and-set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Priority
from syndicator.domain.topics import Taxonomy
from syndicator.domain.model import Release


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said. `fanned_out` is False while recipients are still being written."""

    id: int
    key: str
    kind: MessageKind
    release: int | None
    subscription: int | None
    major: int
    priority: Priority
    cursor: int
    fanned_out: bool
    created_at: datetime


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
    resent: bool  # it has been sent again once after an unknown outcome
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


# -- messages and fan-out
async def announce(
    session: AsyncSession, release: int, *, kind: MessageKind, major: int, priority: Priority, now: datetime
) -> Message:
    """The message of (release, kind, major), made if new; an existing one is opened for fan-out again (a language was
    added): cursor 0, fanned_out_at empty. Key: `{kind}:{release}:{major}`."""
    raise NotImplementedError


async def confirmation(session: AsyncSession, subscription: int, subscriber: int, *, now: datetime) -> Message:
    """A confirmation message for a pending subscription, with its one delivery in a batch of its own, at top priority."""
    raise NotImplementedError


async def open_messages(session: AsyncSession) -> Sequence[Message]:
    """Messages whose recipients are not all written yet."""
    raise NotImplementedError


async def write_matches(session: AsyncSession, release: Release, taxonomy: Taxonomy, now: datetime) -> int:
    """`match` rows for every live filter (lives in matching.py; the filter's SQL the other way, words by
    `filters.hits`). One row per (filter, language version that fits). Idempotent; returns rows."""
    raise NotImplementedError


async def fan_out(
    session: AsyncSession,
    message: Message,
    release: Release,
    *,
    order: Sequence[str],
    now: datetime,
    limit: int = 20_000,
    batch_size: int = 500,
) -> int | None:
    """Write deliveries for the next `limit` subscribers by id (set-based INSERT..SELECT DISTINCT, ON CONFLICT DO NOTHING,
    one row per person however many filters match: smallest subscription id), immediate + active subscriptions, active
    subscribers, language by filter.langs / reader's own / other_language + `order`; put them into batches of ~500 by
    channel (role channel first: batches of channels get the smaller id); move the message's cursor; returns rows
    written in this step, None when there was nobody left (message.fanned_out_at is then set). `subscription.created_at`
    or confirmed_at later than the release's opened_at does not matter (announce_hours guards)."""
    raise NotImplementedError


# -- sending
async def open_batches(session: AsyncSession, now: datetime) -> Sequence[OpenBatch]:
    """Batches with deliveries that are due, most important first."""
    raise NotImplementedError


async def claim(session: AsyncSession, batch: int, now: datetime, limit: int) -> Sequence[Claimed]:
    """due -> sending for up to `limit` rows of a batch, attempts + 1, claimed_at = now. Rows of ended subscriptions or paused
    subscribers (confirmations excepted) become `suppressed` instead and are not returned; withdrawn/hidden releases
    (for kind release) too. Empty: nothing due; the batch's done_at is then set if none is due or sending."""
    raise NotImplementedError


async def settle(session: AsyncSession, settlements: Sequence[Settlement], now: datetime) -> int:
    """sending -> its outcome, in one statement per state; a deferred row leaves its batch. A row that is not `sending` any
    more is left alone. Returns rows moved."""
    raise NotImplementedError


async def sweep(session: AsyncSession, now: datetime, batch_size: int = 500) -> int:
    """Deferred rows whose time has come become due in new batches, grouped by channel and message priority."""
    raise NotImplementedError


async def next_deferred(session: AsyncSession) -> datetime | None:
    """When the next deferred row comes due."""
    raise NotImplementedError


async def recover(session: AsyncSession, now: datetime) -> int:
    """At start of the only process: rows left `sending` by a crash are due again, marked resent, once; one that was resent
    already is unknown. Their batches open again."""
    raise NotImplementedError


async def retry(
    session: AsyncSession,
    *,
    states: Sequence[DeliveryState],
    message: str | None = None,
    delivery: int | None = None,
    now: datetime,
) -> int:
    """An operator's wish: failed / unknown rows become due again, in new batches; returns how many."""
    raise NotImplementedError


# -- looking
async def listing(
    session: AsyncSession, *, state: DeliveryState | None = None, release: int | None = None, limit: int = 100
) -> Sequence[Mapping[str, Any]]:
    """Rows for people: id, message key, channel, address, lang, state, attempts, due_at, settled_at, reason."""
    raise NotImplementedError


async def counts(session: AsyncSession) -> Mapping[tuple[str, str], int]:
    """Deliveries by (channel, state)."""
    raise NotImplementedError


async def oldest_due(session: AsyncSession) -> datetime | None:
    """The oldest due_at among rows due or sending, for the alarm."""
    raise NotImplementedError


# -- durable pauses of a channel (store/pauses.py): async until(session, scope) -> datetime|None · all(session) -> dict[str, datetime] · pause(session, scope, until, reason) · clear(session, scope)
