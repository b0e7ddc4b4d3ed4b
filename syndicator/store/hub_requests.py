"""Requests that wait for their callback's yes: what somebody asks of the hub, and what the hub tells a callback.

Rules, in order:

1. A request changes nothing until its callback has confirmed it (WebSub section 5.3). Whoever answers for a request
   names its challenge: a row that is gone meanwhile, done by somebody else, is not done twice.
2. Several requests of one pair of topic and callback stand side by side: a stranger's cannot take the place of the
   subscriber's own.
3. Requests are bounded in all, for each host and for each pair; so are leases and custom topics. Leaving what nobody
   holds takes nothing in, and asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, distinct, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import HUB_LEASE, HUB_REQUEST

__all__ = [
    "Bounds",
    "Full",
    "Mode",
    "Request",
    "Wish",
    "ask",
    "drop",
    "due_requests",
    "next_request",
    "postpone",
]

AT_A_TIME = 4  # requests to one host in one round
PAGE = 200


class Mode(StrEnum):
    """What a callback is asked or told."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    DENIED = "denied"


class Full(StrEnum):
    """Which bound a request has met."""

    PAIR = "pair"
    HOST = "host"
    REQUESTS = "requests"
    LEASES = "leases"
    TOPICS = "topics"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there may be of everything."""

    requests: int = 1000
    requests_host: int = 50
    requests_pair: int = 3
    leases: int = 10_000
    leases_host: int = 1000
    custom_topics: int = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks of the hub. `topic` is a feed's name, `host` the callback's; the lease is in seconds."""

    mode: Mode
    topic: str
    callback: str
    host: str
    secret: str = ""
    lease_seconds: int = 0
    reason: str = ""

    @property
    def custom(self) -> bool:
        """Whether the topic is a feed that is made for its filter."""
        return self.topic.startswith("custom.")


@dataclass(frozen=True, slots=True)
class Request:
    """A wish on its way to its callback. `challenge` is what the callback must say back; `attempts` failed so far."""

    id: int
    wish: Wish
    challenge: str
    attempts: int


async def ask(session: AsyncSession, wish: Wish, challenge: str, *, bounds: Bounds, now: datetime) -> Full | None:
    """Take a request in, due now; or say which bound it meets. Leaving what nobody holds takes nothing in."""
    pair = and_(HUB_REQUEST.c.topic == wish.topic, HUB_REQUEST.c.callback == wish.callback)
    if wish.mode is Mode.UNSUBSCRIBE and not await _held(session, wish, now):
        return None
    if full := await _full(session, wish, pair, bounds, now):
        return full
    values = {
        "mode": wish.mode,
        "topic": wish.topic,
        "callback": wish.callback,
        "host": wish.host,
        "secret": wish.secret,
        "lease_seconds": wish.lease_seconds,
        "reason": wish.reason,
        "challenge": challenge,
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }
    await session.execute(insert(HUB_REQUEST).values(values))
    return None


async def due_requests(session: AsyncSession, now: datetime, limit: int) -> Sequence[Request]:
    """Requests whose time has come: fresh ones first, one a pair, a few a host."""
    query = (
        select(HUB_REQUEST)
        .where(HUB_REQUEST.c.due_at <= now)
        .order_by(HUB_REQUEST.c.attempts, HUB_REQUEST.c.due_at, HUB_REQUEST.c.id)
        .limit(PAGE)
    )
    hosts: Counter[str] = Counter()
    found: dict[tuple[str, str], Request] = {}
    for row in (await session.execute(query)).mappings():
        request = _request(row)
        pair = (request.wish.topic, request.wish.callback)
        if pair not in found and hosts[request.wish.host] < AT_A_TIME and len(found) < limit:
            found[pair] = request
            hosts[request.wish.host] += 1
    return list(found.values())


async def next_request(session: AsyncSession) -> datetime | None:
    """When the next request is due."""
    when: datetime | None = await session.scalar(select(func.min(HUB_REQUEST.c.due_at)))
    return when


async def drop(session: AsyncSession, request: Request) -> bool:
    """The request is done with; False if it already was."""
    query = delete(HUB_REQUEST).where(_same(request)).returning(HUB_REQUEST.c.id)
    return (await session.execute(query)).first() is not None


async def postpone(session: AsyncSession, request: Request, due_at: datetime) -> None:
    """Ask the callback again, not before then."""
    query = update(HUB_REQUEST).where(_same(request))
    await session.execute(query.values(attempts=HUB_REQUEST.c.attempts + 1, due_at=due_at))


async def _held(session: AsyncSession, wish: Wish, now: datetime) -> bool:
    query = select(HUB_LEASE.c.id).where(
        HUB_LEASE.c.topic == wish.topic,
        HUB_LEASE.c.callback == wish.callback,
        HUB_LEASE.c.ended_at.is_(None),
        HUB_LEASE.c.until > now,
    )
    return await session.scalar(query) is not None


async def _full(
    session: AsyncSession, wish: Wish, pair: ColumnElement[bool], bounds: Bounds, now: datetime
) -> Full | None:
    waiting = (
        (Full.PAIR, pair, bounds.requests_pair),
        (Full.HOST, HUB_REQUEST.c.host == wish.host, bounds.requests_host),
        (Full.REQUESTS, HUB_REQUEST.c.id.is_not(None), bounds.requests),
    )
    for full, which, most in waiting:
        if await _count(session, select(func.count()).select_from(HUB_REQUEST).where(which)) >= most:
            return full
    if wish.mode is not Mode.SUBSCRIBE or await _held(session, wish, now):
        return None
    holding = select(func.count()).select_from(HUB_LEASE).where(HUB_LEASE.c.ended_at.is_(None))
    if await _count(session, holding) >= bounds.leases:
        return Full.LEASES
    if await _count(session, holding.where(HUB_LEASE.c.host == wish.host)) >= bounds.leases_host:
        return Full.HOST
    return await _too_many_topics(session, wish, bounds)


async def _too_many_topics(session: AsyncSession, wish: Wish, bounds: Bounds) -> Full | None:
    """Custom feeds are made again for each change, so only so many are."""
    if not wish.custom:
        return None
    others = HUB_LEASE.c.topic.like("custom.%") & HUB_LEASE.c.ended_at.is_(None) & (HUB_LEASE.c.topic != wish.topic)
    topics = select(func.count(distinct(HUB_LEASE.c.topic))).where(others)
    return Full.TOPICS if await _count(session, topics) >= bounds.custom_topics else None


async def _count(session: AsyncSession, query: Any) -> int:
    return int(await session.scalar(query) or 0)


def _same(request: Request) -> ColumnElement[bool]:
    return and_(HUB_REQUEST.c.id == request.id, HUB_REQUEST.c.challenge == request.challenge)


def _request(row: RowMapping) -> Request:
    names = ("topic", "callback", "host", "secret", "lease_seconds", "reason")
    wish = Wish(Mode(row["mode"]), **{name: row[name] for name in names})
    return Request(row["id"], wish, row["challenge"], row["attempts"])
