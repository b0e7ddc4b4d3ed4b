"""Leases: whose subscription to which feed holds until when, as the hub knows it.

Rules, in order:

1. A lease is what the hub knows; its subscriber, one a pair of topic and callback, is what the ledger knows. It holds
   no subscription, so that no release's fan-out and no list of people ever meets it.
2. It begins, is renewed and ends by a request that its callback confirmed; a new secret or term counts from then.
3. It also ends when its time is over, its callback is gone (410), it failed for `FAILING_FOR` without a success, or its
   feed is no more. It forgets its secret at once, and is forgotten whole, with what was sent to it, after `KEPT`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind
from syndicator.store import people
from syndicator.store.hub_news import begin_topic
from syndicator.store.hub_requests import Request, drop
from syndicator.store.tables import HUB_LEASE, HUB_TOPIC, MESSAGE, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = [
    "Lease",
    "Note",
    "activate",
    "end",
    "end_topic",
    "expire",
    "forget",
    "leases",
    "live",
    "next_end",
    "note",
]

KEPT = timedelta(days=30)
FAILING_FOR = timedelta(days=3)
PAGE = 200


@dataclass(frozen=True, slots=True)
class Lease:
    """A live subscription of a callback. `etag` is the version that it took last."""

    id: int
    subscriber: int
    topic: str
    callback: str
    host: str
    secret: str
    until: datetime
    etag: str
    failures: int
    retry_at: datetime | None

    def __repr__(self) -> str:
        """Without the secret and the callback, whose path may be one."""
        return f"Lease(id={self.id}, topic={self.topic!r}, host={self.host!r})"


@dataclass(frozen=True, slots=True)
class Note:
    """What a callback did with a delivery: took this version, or failed and is left alone until then."""

    subscriber: int
    etag: str = ""
    retry_at: datetime | None = None


def live(now: datetime) -> ColumnElement[bool]:
    """Leases that hold now, of subscribers that are not gone; needs both tables in the query."""
    return and_(HUB_LEASE.c.until > now, HUB_LEASE.c.ended_at.is_(None), SUBSCRIBER.c.state == people.ACTIVE)


# -- leases
async def activate(
    session: AsyncSession,
    request: Request,
    *,
    etag: str,
    built: int,
    tracked: bool,
    language: str,
    timezone: str,
    now: datetime,
) -> bool:
    """The callback said yes: its lease, secret and all, holds from now on; False if the request was done already.

    `etag` and `built` are the topic as it stands, which is where its news begin if nobody else listened; `tracked` says
    that somebody always does: a hub.
    """
    wish = request.wish
    if not await drop(session, request):
        return False
    address = f"{wish.topic} {wish.callback}"
    who = await people.ensure(session, ChannelKind.WEBSUB, address, language=language, timezone=timezone, now=now)
    await people.resume(session, who.id)
    await begin_topic(session, wish.topic, etag, built, now, tracked=tracked)
    renewed = {
        "secret": wish.secret,
        "until": now + timedelta(seconds=wish.lease_seconds),
        "ended_at": None,
        "ended_reason": "",
        "failures": 0,
        "failing_since": None,
        "retry_at": None,
    }
    made = {"subscriber_id": who.id, "topic": wish.topic, "callback": wish.callback, "host": wish.host}
    query = insert_for(session, HUB_LEASE).values(**made, **renewed, etag="", created_at=now)
    await session.execute(query.on_conflict_do_update(index_elements=["topic", "callback"], set_=renewed))
    return True


async def end(session: AsyncSession, request: Request, now: datetime) -> bool:
    """The callback confirmed that it leaves; False if the request was done already."""
    if not await drop(session, request):
        return False
    wish = request.wish
    pair = and_(HUB_LEASE.c.topic == wish.topic, HUB_LEASE.c.callback == wish.callback)
    await _end(session, pair, "unsubscribed", now)
    return True


async def end_topic(session: AsyncSession, topic: str, reason: str, now: datetime) -> Sequence[tuple[str, str]]:
    """End every lease of a feed that is no more; the callbacks and their hosts."""
    return await _end(session, HUB_LEASE.c.topic == topic, reason, now)


async def expire(session: AsyncSession, now: datetime) -> int:
    """End leases whose time is over, whose callback is gone, or that failed for days without a success."""
    gone = exists().where(SUBSCRIBER.c.id == HUB_LEASE.c.subscriber_id, SUBSCRIBER.c.state != people.ACTIVE)
    failing = HUB_LEASE.c.failing_since <= now - FAILING_FOR
    reasons = ((gone, "the callback is gone"), (failing, "it failed for three days"))
    ended = 0
    for which, reason in (*reasons, (HUB_LEASE.c.until <= now, "not renewed")):
        ended += len(await _end(session, which, reason, now))
    return ended


async def next_end(session: AsyncSession) -> datetime | None:
    """When the next lease ends by itself."""
    query = select(func.min(HUB_LEASE.c.until)).where(HUB_LEASE.c.ended_at.is_(None))
    when: datetime | None = await session.scalar(query)
    return when


async def forget(session: AsyncSession, now: datetime, limit: int = PAGE) -> int:
    """Delete up to `limit` each of long ended leases with their subscribers, of old news, and topics nobody holds."""
    before = now - KEPT
    old = select(HUB_LEASE.c.subscriber_id).where(HUB_LEASE.c.ended_at <= before).limit(limit)
    leases_gone = await session.execute(delete(SUBSCRIBER).where(SUBSCRIBER.c.id.in_(old)).returning(SUBSCRIBER.c.id))
    news = select(MESSAGE.c.id).where(MESSAGE.c.feed != "", MESSAGE.c.created_at <= before).limit(limit)
    news_gone = await session.execute(delete(MESSAGE).where(MESSAGE.c.id.in_(news)).returning(MESSAGE.c.id))
    held = exists().where(HUB_LEASE.c.topic == HUB_TOPIC.c.name)
    unheld = HUB_TOPIC.c.name.like("custom.%") & ~held
    topics_gone = await session.execute(delete(HUB_TOPIC).where(unheld).returning(HUB_TOPIC.c.name))
    return sum(len(gone.all()) for gone in (leases_gone, news_gone, topics_gone))


async def leases(session: AsyncSession, subscribers: Sequence[int], now: datetime) -> Mapping[int, Lease]:
    """The live leases of these subscribers, by subscriber."""
    query = (
        select(HUB_LEASE)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == HUB_LEASE.c.subscriber_id)
        .where(HUB_LEASE.c.subscriber_id.in_(list(subscribers)), live(now))
    )
    return {row["subscriber_id"]: _lease(row) for row in (await session.execute(query)).mappings()}


async def note(session: AsyncSession, notes: Sequence[Note], now: datetime) -> None:
    """Keep what callbacks did: who took which version, and who is to be left alone for a while."""
    for one in notes:
        here = update(HUB_LEASE).where(HUB_LEASE.c.subscriber_id == one.subscriber)
        if one.retry_at is None:
            good = {"etag": one.etag, "failures": 0, "failing_since": None, "retry_at": None}
            await session.execute(here.values(good))
        else:
            since = func.coalesce(HUB_LEASE.c.failing_since, now)
            bad = {"failures": HUB_LEASE.c.failures + 1, "failing_since": since, "retry_at": one.retry_at}
            await session.execute(here.values(bad))


# -- helpers
async def _end(
    session: AsyncSession, which: ColumnElement[bool], reason: str, now: datetime
) -> Sequence[tuple[str, str]]:
    values = {"ended_at": now, "ended_reason": reason, "secret": ""}
    query = update(HUB_LEASE).where(which, HUB_LEASE.c.ended_at.is_(None)).values(values)
    rows = await session.execute(query.returning(HUB_LEASE.c.callback, HUB_LEASE.c.host))
    return [(callback, host) for callback, host in rows]


def _lease(row: RowMapping) -> Lease:
    names = ("id", "topic", "callback", "host", "secret", "until", "etag", "failures", "retry_at")
    return Lease(subscriber=row["subscriber_id"], **{name: row[name] for name in names})
