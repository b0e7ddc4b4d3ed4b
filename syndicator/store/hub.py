"""Leases: whose subscription to which feed holds until when, as the hub knows it.

Rules, in order:

1. A lease is what the hub knows; its subscriber, one a pair of topic and callback, is what the ledger knows. It holds
   no subscription, so that no release's fan-out and no list of people ever meets it.
2. It begins, is renewed and ends by a request that its callback confirmed; a new secret or term counts from then.
3. Whatever else was asked for that pair before what was confirmed is void: an older wish never undoes a newer one.
4. It also ends when its time is over, its callback is gone (410), a delivery fails `FAILING_FOR` or longer after the
   first of a row of failures, its feed is no more, or the site is no hub any more. Time alone, in which nobody tried,
   is no failure.
5. It forgets its secret at once, and is forgotten whole, with what was sent to it, `KEPT` later; at once if nothing
   ever was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind
from syndicator.store import people, resting
from syndicator.store.hub_news import begin_topic
from syndicator.store.hub_requests import Request, drop
from syndicator.store.tables import DELIVERY, HUB_LEASE, HUB_REQUEST, HUB_TOPIC, MESSAGE, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = [
    "Ended",
    "Lease",
    "Note",
    "activate",
    "end",
    "end_all",
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
FAILED = "it failed for three days"
PAGE = 200
STEP = 2000  # deliveries that one step of `forget` deletes


@dataclass(frozen=True, slots=True)
class Lease:
    """A live subscription of a callback. `etag` is the version that it took last; see `tables_hub.HubLease`."""

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
    slow: int

    def __repr__(self) -> str:
        """Without the secret and the callback, whose path may be one."""
        return f"Lease(id={self.id}, topic={self.topic!r}, host={self.host!r})"


@dataclass(frozen=True, slots=True)
class Note:
    """What a callback did with a delivery: took this version, or failed and is left alone until then.

    One that neither took anything nor failed was only passed by, since its host is `slow`. Where the host was silent
    and the callback itself was not asked, the failure does not count (`asked` False), but its time does.
    """

    subscriber: int
    etag: str = ""
    retry_at: datetime | None = None
    slow: bool = False
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Ended:
    """A lease that has just ended."""

    topic: str
    callback: str
    host: str


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
    if not await _taken_up(session, request):
        return False
    address = f"{wish.topic} {wish.callback}"
    who = await people.ensure(session, ChannelKind.WEBSUB, address, language=language, timezone=timezone, now=now)
    await resting.resume(session, who.id)
    await begin_topic(session, wish.topic, etag, built, now, tracked=tracked)
    renewed = {
        "host": wish.host,
        "domain": wish.domain,
        "asker": wish.asker,
        "secret": wish.secret,
        "until": now + timedelta(seconds=wish.lease_seconds),
        "ended_at": None,
        "ended_reason": "",
        "failures": 0,
        "failing_since": None,
        "retry_at": None,
        "slow": 0,
    }
    made = {"subscriber_id": who.id, "topic": wish.topic, "callback": wish.callback}
    query = insert_for(session, HUB_LEASE).values(**made, **renewed, etag="", created_at=now)
    await session.execute(query.on_conflict_do_update(index_elements=["topic", "callback"], set_=renewed))
    return True


async def end(session: AsyncSession, request: Request, now: datetime) -> bool:
    """The callback confirmed that it leaves; False if the request was done already."""
    if not await _taken_up(session, request):
        return False
    wish = request.wish
    pair = and_(HUB_LEASE.c.topic == wish.topic, HUB_LEASE.c.callback == wish.callback)
    await _end(session, pair, "unsubscribed", now)
    return True


async def end_topic(session: AsyncSession, topic: str, reason: str, now: datetime) -> Sequence[Ended]:
    """End every lease of a feed that is no more."""
    return await _end(session, HUB_LEASE.c.topic == topic, reason, now)


async def end_all(session: AsyncSession, reason: str, now: datetime, limit: int = PAGE) -> Sequence[Ended]:
    """End up to `limit` leases: the site is no hub any more."""
    some = select(HUB_LEASE.c.id).where(HUB_LEASE.c.ended_at.is_(None)).limit(limit)
    return await _end(session, HUB_LEASE.c.id.in_(some), reason, now)


async def expire(session: AsyncSession, now: datetime) -> int:
    """End leases whose time is over or whose callback is gone."""
    gone = exists().where(SUBSCRIBER.c.id == HUB_LEASE.c.subscriber_id, SUBSCRIBER.c.state != people.ACTIVE)
    ended = 0
    for which, reason in ((gone, "the callback is gone"), (HUB_LEASE.c.until <= now, "not renewed")):
        ended += len(await _end(session, which, reason, now))
    return ended


async def next_end(session: AsyncSession) -> datetime | None:
    """When the next lease ends by itself."""
    query = select(func.min(HUB_LEASE.c.until)).where(HUB_LEASE.c.ended_at.is_(None))
    when: datetime | None = await session.scalar(query)
    return when


async def forget(session: AsyncSession, now: datetime, limit: int = PAGE) -> int:
    """Delete, in a step of bounded length: what was sent long ago, ended leases and news nobody was sent, old topics.

    Returns how many rows went; 0 when there is nothing left to forget.
    """
    before = now - KEPT
    ended = select(HUB_LEASE.c.subscriber_id).where(HUB_LEASE.c.ended_at <= before)
    news = select(MESSAGE.c.id).where(MESSAGE.c.feed != "", MESSAGE.c.created_at <= before)
    gone = 0
    for old in (DELIVERY.c.subscriber_id.in_(ended), DELIVERY.c.message_id.in_(news)):
        some = select(DELIVERY.c.id).where(old).limit(STEP)
        gone += len(
            (await session.execute(delete(DELIVERY).where(DELIVERY.c.id.in_(some)).returning(DELIVERY.c.id))).all()
        )
    if gone:
        return gone
    told = exists().where(DELIVERY.c.message_id == MESSAGE.c.id)
    sent = exists().where(DELIVERY.c.subscriber_id == HUB_LEASE.c.subscriber_id)
    kept = exists().where(HUB_LEASE.c.topic == HUB_TOPIC.c.name) | exists().where(MESSAGE.c.feed == HUB_TOPIC.c.name)
    over = select(HUB_LEASE.c.subscriber_id).where(HUB_LEASE.c.ended_at.is_not(None), ~sent)
    for table, key, which in (
        (MESSAGE, MESSAGE.c.id, news.where(~told)),
        (SUBSCRIBER, SUBSCRIBER.c.id, over),
        (HUB_TOPIC, HUB_TOPIC.c.name, select(HUB_TOPIC.c.name).where(HUB_TOPIC.c.name.like("custom.%"), ~kept)),
    ):
        query = delete(table).where(key.in_(which.limit(limit))).returning(key)
        gone += len((await session.execute(query)).all())
    return gone


async def leases(session: AsyncSession, subscribers: Sequence[int], now: datetime) -> Mapping[int, Lease]:
    """The live leases of these subscribers, by subscriber."""
    query = (
        select(HUB_LEASE)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == HUB_LEASE.c.subscriber_id)
        .where(HUB_LEASE.c.subscriber_id.in_(list(subscribers)), live(now))
    )
    return {row["subscriber_id"]: _lease(row) for row in (await session.execute(query)).mappings()}


async def note(session: AsyncSession, notes: Sequence[Note], now: datetime) -> int:
    """Keep what callbacks did: who took which version, and who is to be left alone for a while.

    Ends the leases that have failed for days; returns how many.
    """
    ended = 0
    for one in notes:
        mine = HUB_LEASE.c.subscriber_id == one.subscriber
        if one.retry_at is not None:
            since = func.coalesce(HUB_LEASE.c.failing_since, now)
            more = HUB_LEASE.c.failures + int(one.asked)
            bad = {"failures": more, "failing_since": since, "retry_at": one.retry_at, "slow": 1}
            ended += len(await _end(session, mine & (HUB_LEASE.c.failing_since <= now - FAILING_FOR), FAILED, now))
            await session.execute(update(HUB_LEASE).where(mine).values(bad))
        elif one.etag:
            good = {"etag": one.etag, "failures": 0, "failing_since": None, "retry_at": None, "slow": int(one.slow)}
            await session.execute(update(HUB_LEASE).where(mine).values(good))
        else:
            await session.execute(update(HUB_LEASE).where(mine).values(slow=1))
    return ended


# -- helpers
async def _taken_up(session: AsyncSession, request: Request) -> bool:
    """The request is done, and with it what was asked for its pair before; False if it already was."""
    if not await drop(session, request):
        return False
    wish = request.wish
    older = and_(HUB_REQUEST.c.topic == wish.topic, HUB_REQUEST.c.callback == wish.callback)
    await session.execute(delete(HUB_REQUEST).where(older, HUB_REQUEST.c.id < request.id))
    return True


async def _end(session: AsyncSession, which: ColumnElement[bool], reason: str, now: datetime) -> Sequence[Ended]:
    values = {"ended_at": now, "ended_reason": reason, "secret": ""}
    query = update(HUB_LEASE).where(which, HUB_LEASE.c.ended_at.is_(None)).values(values)
    rows = await session.execute(query.returning(*(HUB_LEASE.c[name] for name in ("topic", "callback", "host"))))
    return [Ended(topic, callback, host) for topic, callback, host in rows]


def _lease(row: RowMapping) -> Lease:
    names = ("id", "topic", "callback", "host", "secret", "until", "etag", "failures", "retry_at", "slow")
    return Lease(subscriber=row["subscriber_id"], **{name: row[name] for name in names})
