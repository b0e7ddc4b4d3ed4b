"""What an operator's alarms are about, read from the store: releases on their way, sources, documents.

Rules, in order:

1. Every question goes by an index or by the newest messages: it may be asked once a minute, however much is kept.
2. Whether anybody of a channel was reached is asked with an early end; only what somebody has and others wait for is
   counted, until more have it than wait.
3. Nothing here names a person: chats that are named are the office's own.
4. What a restore left `unknown` is not owed: it was most probably sent, and the restore has said so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, State, SubscriberRole
from syndicator.store.indexed import OPEN
from syndicator.store.restored import MAY_HAVE_BEEN
from syndicator.store.sending import QUIET
from syndicator.store.tables import DELIVERY, MESSAGE, RELEASE, SOURCE_CURSOR, SOURCE_ITEM, SUBSCRIBER, VARIANT

__all__ = [
    "Bad",
    "Chat",
    "OnItsWay",
    "Pass",
    "Reach",
    "bad_documents",
    "chats_waiting",
    "first_since",
    "on_their_way",
    "passes",
    "people_reached",
    "unopened",
]

TOLD = (MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.WITHDRAWAL)
OFFICE = SUBSCRIBER.c.role == literal_column(f"'{SubscriberRole.CHANNEL}'")  # as its partial index says it
SETTLED_WELL = (DeliveryState.SENT, DeliveryState.SUPPRESSED)
NAMED = 200  # of a source's documents that are each an alarm; all others are one


class Reach(Enum):
    """How far a message has come with the people of a channel."""

    NOBODY = "nobody"  # some are owed it, and none has it
    STUCK = "stuck"  # somebody has it, more wait, and none got it lately
    SLOW = "slow"  # more wait than have it, and some got it lately
    WELL = "well"  # nothing to tell now
    ARRIVED = "arrived"  # more have it than ever may wait: for good


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A message about a public release: since when it might have arrived, whether all its recipients are written."""

    id: int
    key: str
    kind: MessageKind
    release: int
    since: datetime
    fanned_out: bool


@dataclass(frozen=True, slots=True)
class Chat:
    """One of the office's own channels that does not have a message, and why."""

    address: str
    state: DeliveryState
    reason: str


@dataclass(frozen=True, slots=True)
class Pass:
    """A source: when it was last read to its end, and what was wrong since."""

    source: str
    passed_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A source's document that cannot be taken, since when, why; or `more` of them that are not named."""

    source: str
    since: datetime
    origin: str
    reason: str
    more: int = 0


async def first_since(session: AsyncSession, start: datetime, least: int) -> int:
    """The first message made after `start`; `least` is one that is known to be no later, so that few are looked at."""
    query = select(func.min(MESSAGE.c.id)).where(MESSAGE.c.id >= least, MESSAGE.c.created_at >= start)
    newest = select(func.coalesce(func.max(MESSAGE.c.id), 0) + 1)
    return int(await session.scalar(query) or await session.scalar(newest) or 0)


async def on_their_way(
    session: AsyncSession, least: int, until: datetime, keys: Collection[str] = ()
) -> Sequence[OnItsWay]:
    """Messages about releases that may be told since before `until`: from `least` on, open ones, and these `keys`."""
    newest = select(func.max(VARIANT.c.created_at)).where(VARIANT.c.release_id == RELEASE.c.id).scalar_subquery()
    which = or_(MESSAGE.c.id >= least, MESSAGE.c.fanned_out_at.is_(None), MESSAGE.c.key.in_(list(keys)))
    query = (
        select(
            *(MESSAGE.c[name] for name in ("id", "key", "kind", "created_at", "fanned_out_at", "again_at", "matched")),
            RELEASE.c.id.label("release"),
            RELEASE.c.opened_at,
            RELEASE.c.updated_at,
            newest.label("newest"),
        )
        .join_from(MESSAGE, RELEASE, RELEASE.c.id == MESSAGE.c.release_id)
        .where(which, MESSAGE.c.kind.in_(TOLD), _may_be_told(until), MESSAGE.c.created_at <= until)
        .order_by(MESSAGE.c.id)
    )
    found = []
    for row in (await session.execute(query)).mappings():
        moments = [row["created_at"], row["opened_at"]]
        if row["fanned_out_at"] is None:  # opened again, by a translation, it is not as late as it is old
            moments += [row["again_at"], *([row["updated_at"], row["newest"]] if row["matched"] else [])]
        since = max(moment for moment in moments if moment is not None)
        if since <= until:
            kind, fanned_out = MessageKind(row["kind"]), row["fanned_out_at"] is not None
            found.append(OnItsWay(row["id"], row["key"], kind, row["release"], since, fanned_out))
    return found


def _may_be_told(until: datetime) -> ColumnElement[bool]:
    public = and_(RELEASE.c.state == State.PUBLIC, RELEASE.c.public_at <= until)
    withdrawn = and_(RELEASE.c.state == State.WITHDRAWN, MESSAGE.c.kind == MessageKind.WITHDRAWAL)
    return or_(public, withdrawn)


async def people_reached(session: AsyncSession, message: int, channel: ChannelKind, until: datetime) -> Reach:
    """How far it has come; `until` is since when nothing has moved if it is stuck.

    Who waits for the end of quiet hours is not owed it yet, until that end has passed; whose address is dead is owed
    nothing.
    """
    theirs = and_(
        DELIVERY.c.message_id == message,
        SUBSCRIBER.c.channel == channel,
        SUBSCRIBER.c.role != SubscriberRole.CHANNEL,
    )
    on_time = or_(DELIVERY.c.reason != QUIET, DELIVERY.c.due_at <= until)
    owed = and_(DELIVERY.c.state.not_in(SETTLED_WELL), on_time, SUBSCRIBER.c.state == "active", _not_restored())
    has = DELIVERY.c.state == DeliveryState.SENT
    joined = select(DELIVERY.c.id).join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id).where(theirs)
    if await session.scalar(joined.where(has).limit(1)) is None:
        return Reach.NOBODY if await session.scalar(joined.where(owed).limit(1)) is not None else Reach.WELL
    open_ = and_(DELIVERY.c.state.in_(OPEN), SUBSCRIBER.c.state == "active")
    counted = select(
        func.count(case((has, 1))).label("have"),
        func.count(case((and_(open_, on_time), 1))).label("wait"),
        func.count(case((open_, 1))).label("open"),
        func.max(case((has, DELIVERY.c.settled_at))).label("last"),
    ).join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
    row = (await session.execute(counted.where(theirs))).one()
    if row.wait > row.have:
        return Reach.STUCK if row.last is None or row.last <= until else Reach.SLOW
    return Reach.WELL if row.open > row.have else Reach.ARRIVED


def _not_restored() -> ColumnElement[bool]:
    """Rule 4."""
    hushed = DELIVERY.c.reason.startswith(MAY_HAVE_BEEN, autoescape=True)
    return or_(DELIVERY.c.state != DeliveryState.UNKNOWN, ~hushed)


async def chats_waiting(session: AsyncSession, message: int) -> Sequence[Chat]:
    """The office's own channels that are owed a message and do not have it."""
    query = (
        select(SUBSCRIBER.c.address, DELIVERY.c.state, DELIVERY.c.reason)
        .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .where(
            DELIVERY.c.message_id == message,
            DELIVERY.c.subscriber_id.in_(select(SUBSCRIBER.c.id).where(OFFICE)),
            SUBSCRIBER.c.state == "active",
            DELIVERY.c.state.not_in(SETTLED_WELL),
            _not_restored(),
        )
        .order_by(SUBSCRIBER.c.id)
    )
    return [Chat(row[0], DeliveryState(row[1]), row[2]) for row in await session.execute(query)]


async def unopened(session: AsyncSession, until: datetime) -> Sequence[tuple[int, datetime]]:
    """Releases that were to be public before `until`, and are not: number and time."""
    query = select(RELEASE.c.id, RELEASE.c.public_at).where(
        RELEASE.c.state == State.SCHEDULED, RELEASE.c.public_at <= until
    )
    return [(row[0], row[1]) for row in await session.execute(query.order_by(RELEASE.c.public_at))]


async def passes(session: AsyncSession) -> Sequence[Pass]:
    """How each source that was ever read is doing."""
    query = select(SOURCE_CURSOR.c.source, SOURCE_CURSOR.c.passed_at, SOURCE_CURSOR.c.problem)
    return [Pass(row[0], row[1], row[2]) for row in await session.execute(query)]


async def bad_documents(session: AsyncSession) -> Sequence[Bad]:
    """Documents that cannot be taken, by source and from the oldest on; of each source `NAMED`, and how many more."""
    bad = SOURCE_ITEM.c.problem != ""
    counted = select(SOURCE_ITEM.c.source, func.count()).where(bad).group_by(SOURCE_ITEM.c.source)
    found = []
    for source, count in await session.execute(counted.order_by(SOURCE_ITEM.c.source)):
        query = (
            select(SOURCE_ITEM.c.seen_at, SOURCE_ITEM.c.origin, SOURCE_ITEM.c.problem)
            .where(bad, SOURCE_ITEM.c.source == source)
            .order_by(SOURCE_ITEM.c.seen_at, SOURCE_ITEM.c.origin)
            .limit(NAMED + 1)
        )
        rows = [Bad(source, *row) for row in await session.execute(query)]
        found += rows[:NAMED]
        found += [replace(one, more=count - NAMED) for one in rows[NAMED:]]
    return found
