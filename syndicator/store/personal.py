"""What is kept about one subscriber: read whole for the person, and erased on their word (`erasing`).

Rules, in order:

1. What is read is all that there is: the subscriber's row, every subscription with its consent, ended ones too, what
   came back from their mailbox, other addresses that they named, and the ledger's rows; of the latter the newest so
   many, with the count of all.
2. Which of our messages a person means is asked of their own rows alone: no number leads to somebody else's.
3. Erasing is `store.erasing`, under this name too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Text, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.chat_answers import is_about, message_numbers
from syndicator.domain.model import DeliveryState, MessageKind, SubscriberRole, SubscriptionState
from syndicator.store.erasing import Erased, erase
from syndicator.store.known import is_known
from syndicator.store.people import ERASED
from syndicator.store.subscriptions import Subscription, of
from syndicator.store.tables import (
    BOUNCE,
    DELIVERY,
    DIGEST_ITEM,
    FILTER,
    MATCH,
    MESSAGE,
    READDRESSED,
    SUBSCRIBER,
    SUBSCRIPTION,
)

__all__ = [
    "Entry",
    "Erased",
    "asked_for",
    "erase",
    "exported",
    "facts",
    "last_told",
    "matched",
    "returned",
    "told",
    "told_as",
    "told_count",
]

PAGE = 1000
_ARRIVED = (DeliveryState.SENT, DeliveryState.UNKNOWN)
_CANDIDATES = 10_000  # rows whose answer holds that number, as a message's or as anything else's

_TOLD = (
    select(
        *(DELIVERY.c[name] for name in ("id", "subscription_id", "lang", "state", "attempts", "due_at")),
        *(DELIVERY.c[name] for name in ("settled_at", "reason", "answer")),
        MESSAGE.c.key,
        MESSAGE.c.kind,
        MESSAGE.c.release_id,
        MESSAGE.c.created_at,
    )
    .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
    .where(is_known())
    .order_by(DELIVERY.c.id.desc())
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger as its subscriber may read it. `items` are a digest's releases, with their languages."""

    delivery: int
    message: str
    kind: MessageKind
    release: int | None
    subscription: int | None
    lang: str
    state: DeliveryState
    reason: str
    attempts: int
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None
    answer: Mapping[str, Any]
    items: tuple[tuple[int, str], ...] = ()

    @property
    def releases(self) -> tuple[tuple[int, str], ...]:
        """What it tells of: numbers and languages."""
        return self.items or (((self.release, self.lang),) if self.release is not None else ())


async def facts(session: AsyncSession, subscriber: int) -> Mapping[str, Any] | None:
    """The subscriber's row, column by column; None where there is none, or it was erased."""
    query = select(SUBSCRIBER).where(SUBSCRIBER.c.id == subscriber, SUBSCRIBER.c.state_reason != ERASED)
    row = (await session.execute(query)).mappings().one_or_none()
    return None if row is None else dict(row)


async def told(session: AsyncSession, subscriber: int, limit: int) -> Sequence[Entry]:
    """The newest rows of the ledger about a subscriber, newest first."""
    rows = await session.execute(_TOLD.where(DELIVERY.c.subscriber_id == subscriber).limit(limit))
    return await _with_items(session, [_told(row) for row in rows.mappings()])


async def told_count(session: AsyncSession, subscriber: int) -> int:
    """How many rows the ledger has about a subscriber."""
    query = select(func.count()).select_from(DELIVERY).where(DELIVERY.c.subscriber_id == subscriber)
    return int(await session.scalar(query) or 0)


async def returned(session: AsyncSession, subscriber: int, limit: int) -> Sequence[Mapping[str, Any]]:
    """What came back from their mailbox, newest first: `kind`, `status`, `source`, `said`, `at`."""
    columns = [BOUNCE.c[name] for name in ("kind", "status", "source", "said", "at")]
    query = (
        select(*columns).where(BOUNCE.c.subscriber_id == subscriber).order_by(BOUNCE.c.at.desc(), BOUNCE.c.id.desc())
    )
    return [dict(row) for row in (await session.execute(query.limit(limit))).mappings()]


async def asked_for(session: AsyncSession, subscriber: int) -> Sequence[Mapping[str, Any]]:
    """Other addresses that letters of theirs went to, newest first: `address`, `kind`, `asked_at`, `done_at`."""
    columns = [READDRESSED.c[name] for name in ("address", "asked_at", "done_at")]
    query = (
        select(*columns, MESSAGE.c.kind)
        .join_from(READDRESSED, MESSAGE, MESSAGE.c.id == READDRESSED.c.message_id)
        .where(READDRESSED.c.subscriber_id == subscriber)
        .order_by(READDRESSED.c.message_id.desc())
    )
    return [dict(row) for row in (await session.execute(query)).mappings()]


async def last_told(session: AsyncSession, subscriber: int) -> Entry | None:
    """What went out to a subscriber last; None while nothing has."""
    latest = (
        select(DELIVERY.c.id)
        .where(DELIVERY.c.subscriber_id == subscriber, DELIVERY.c.state.in_(_ARRIVED))
        .order_by(DELIVERY.c.settled_at.desc(), DELIVERY.c.id.desc())
        .limit(1)
    )
    return await _whole(session, DELIVERY.c.id.in_(latest))


async def told_as(session: AsyncSession, subscriber: int, message: int) -> Entry | None:
    """The row that brought a chat's message of that number, or a part of it; what followed it only if nothing else did.

    The text of an answer is looked through for the number first: both databases do that alike, and few rows are left.
    """
    written = cast(DELIVERY.c.answer, Text)
    listed = [f"{before}{message}{after}" for before in ("[", " ", ",") for after in ("]", ",", "}")]
    holds = or_(*(written.contains(one) for one in listed))
    query = select(DELIVERY.c.id, DELIVERY.c.answer).where(DELIVERY.c.subscriber_id == subscriber, holds)
    rows = await session.execute(query.order_by(DELIVERY.c.id.desc()).limit(_CANDIDATES))
    found = [(message not in message_numbers(answer), number) for number, answer in rows if is_about(answer, message)]
    if not found:
        return None
    return await _whole(session, DELIVERY.c.id == min(found)[1])


async def matched(session: AsyncSession, subscriber: int, what: Entry) -> Sequence[Subscription]:
    """The subscriptions that brought it, that of the row first: all whose filters took one of its releases."""
    numbers = [number for number, _ in what.releases]
    took = exists().where(MATCH.c.filter_id == SUBSCRIPTION.c.filter_id, MATCH.c.release_id.in_(numbers))
    wanted = took & (SUBSCRIPTION.c.state == SubscriptionState.ACTIVE) & (SUBSCRIPTION.c.created_at <= what.created_at)
    query = select(SUBSCRIPTION.c.id).where(
        SUBSCRIPTION.c.subscriber_id == subscriber, wanted | (SUBSCRIPTION.c.id == what.subscription)
    )
    numbers = list(await session.scalars(query))
    found = [one for one in await of(session, subscriber, live=False) if one.id in numbers]
    return sorted(found, key=lambda one: (one.id != what.subscription, one.id))


async def exported(session: AsyncSession) -> AsyncGenerator[RowMapping, None]:
    """Every active subscription of a person, with their subscriber's row, by id, in pages.

    Channels of the configuration are none: they come with it. Opt-ins that nobody has confirmed are none either.
    """
    columns = ("channel", "address", "language", "timezone", "text_only", "state", "created_at")
    asked = ("id", "cadence", "consent_at", "consent_source", "consent_text")
    query = (
        select(*(SUBSCRIBER.c[name] for name in columns), *(SUBSCRIPTION.c[name] for name in asked), FILTER.c.canonical)
        .join_from(SUBSCRIPTION, SUBSCRIBER, SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id)
        .join(FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
        .where(SUBSCRIPTION.c.state == SubscriptionState.ACTIVE, SUBSCRIBER.c.role == SubscriberRole.PERSON)
        .order_by(SUBSCRIPTION.c.id)
        .limit(PAGE)
    )
    last = 0
    while rows := (await session.execute(query.where(SUBSCRIPTION.c.id > last))).mappings().all():
        for row in rows:
            yield row
        last = rows[-1]["id"]


async def _whole(session: AsyncSession, which: ColumnElement[bool]) -> Entry | None:
    rows = await session.execute(_TOLD.where(which))
    return next(iter(await _with_items(session, [_told(row) for row in rows.mappings()])), None)


async def _with_items(session: AsyncSession, rows: Sequence[Entry]) -> Sequence[Entry]:
    """Digests with what they tell of."""
    digests = [one.delivery for one in rows if one.kind is MessageKind.DIGEST]
    if not digests:
        return rows
    query = (
        select(DIGEST_ITEM)
        .where(DIGEST_ITEM.c.delivery_id.in_(digests))
        .order_by(DIGEST_ITEM.c.delivery_id, DIGEST_ITEM.c.release_id.desc())
    )
    items: dict[int, list[tuple[int, str]]] = {}
    for row in (await session.execute(query)).mappings():
        items.setdefault(row["delivery_id"], []).append((row["release_id"], row["lang"]))
    return [replace(one, items=tuple(items.get(one.delivery, ()))) for one in rows]


def _told(row: RowMapping) -> Entry:
    return Entry(
        delivery=row["id"],
        message=row["key"],
        kind=MessageKind(row["kind"]),
        release=row["release_id"],
        subscription=row["subscription_id"],
        lang=row["lang"],
        state=DeliveryState(row["state"]),
        reason=row["reason"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        settled_at=row["settled_at"],
        answer=row["answer"],
    )
