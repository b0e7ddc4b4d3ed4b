"""Requests that wait for their callback's yes: what somebody asks of the hub, and what the hub tells a callback.

Rules, in order:

1. A request changes nothing until its callback has confirmed it (WebSub section 5.3). Whoever answers for a request
   names its challenge: a row that is gone meanwhile, done by somebody else, is not done twice.
2. Several requests of one pair of topic and callback stand side by side: a stranger's cannot take the place of the
   subscriber's own.
3. Requests are bounded in all, for each visitor, domain, host and pair; so are leases and custom topics, where what
   waits counts too. Whoever renews or leaves what holds is bounded by pair, host and domain alone: strangers who fill
   the hub shut nobody out who is in. Leaving what nobody holds takes nothing in, and asks nobody.
4. What holds is asked about first, then what was asked least often, then in order; of one visitor only so much at a
   time. What the hub itself has to tell (`tell`) knows no bounds: there is a lease or a request behind each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, func, insert, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import wanted
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
    "mend_clock",
    "next_request",
    "postpone",
    "reached",
    "tell",
]

AT_A_TIME = 4  # requests on their way to one host
OF_ONE_ASKER = 12  # requests on their way that one visitor has asked for
PAGE = 1000


class Mode(StrEnum):
    """What a callback is asked or told."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    DENIED = "denied"


class Full(StrEnum):
    """Which bound a request has met."""

    PAIR = "pair"
    HOST = "host"
    ASKER = "asker"
    REQUESTS = "requests"
    LEASES = "leases"
    TOPICS = "topics"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there may be of everything, in all and for each who could take it from the others."""

    requests: int = 1000
    requests_asker: int = 100
    requests_domain: int = 200
    requests_host: int = 50
    requests_pair: int = 3
    leases: int = 10_000
    leases_asker: int = 2000
    leases_domain: int = 2000
    leases_host: int = 1000
    custom_topics: int = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks of the hub. `topic` is a feed's name; the lease is in seconds.

    `host` and `domain` are the callback's (`domain.hosts`), `asker` is an untraceable digest of the visitor.
    """

    mode: Mode
    topic: str
    callback: str
    host: str
    secret: str = ""
    lease_seconds: int = 0
    reason: str = ""
    domain: str = ""
    asker: str = ""

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
    held = await _held(session, wish, now)
    if wish.mode is Mode.UNSUBSCRIBE and not held:
        return None
    if full := await _full(session, wish, bounds, held=held):
        return full
    await tell(session, wish, challenge, now=now)
    return None


async def tell(session: AsyncSession, wish: Wish, challenge: str, *, now: datetime) -> None:
    """Take down something to ask or tell a callback, due now."""
    values = {
        "mode": wish.mode,
        "topic": wish.topic,
        "callback": wish.callback,
        "host": wish.host,
        "domain": wish.domain,
        "asker": wish.asker,
        "secret": wish.secret,
        "lease_seconds": wish.lease_seconds,
        "reason": wish.reason,
        "challenge": challenge,
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }
    await session.execute(insert(HUB_REQUEST).values(values))
    wanted.tell(session)


async def due_requests(
    session: AsyncSession, now: datetime, limit: int, *, under_way: Collection[Request] = ()
) -> Sequence[Request]:
    """Up to `limit` requests whose time has come: one a pair, a few a host and a visitor, beside those `under_way`.

    Those of leases that hold come first, then what was asked least often.
    """
    renews = exists().where(
        HUB_LEASE.c.topic == HUB_REQUEST.c.topic,
        HUB_LEASE.c.callback == HUB_REQUEST.c.callback,
        HUB_LEASE.c.ended_at.is_(None),
        HUB_LEASE.c.until > now,
    )
    query = (
        select(HUB_REQUEST, renews.label("renews"))
        .where(HUB_REQUEST.c.due_at <= now)
        .order_by(renews.desc(), HUB_REQUEST.c.attempts, HUB_REQUEST.c.due_at, HUB_REQUEST.c.id)
        .limit(PAGE)
    )
    pairs = {(one.wish.topic, one.wish.callback) for one in under_way}
    hosts = Counter(one.wish.host for one in under_way)
    askers = Counter(one.wish.asker for one in under_way)
    found: list[Request] = []
    for row in (await session.execute(query)).mappings():
        if len(found) >= limit:
            break
        asker = "" if row["renews"] else row["asker"]  # "": of nobody, without a bound
        pair = (row["topic"], row["callback"])
        if pair in pairs or hosts[row["host"]] >= AT_A_TIME or (asker and askers[asker] >= OF_ONE_ASKER):
            continue
        found.append(_request(row))
        pairs.add(pair)
        hosts[row["host"]] += 1
        askers[asker] += 1
    return found


async def reached(session: AsyncSession, host: str) -> bool:
    """Whether that host has ever held a lease that is not forgotten: somebody answers there."""
    return await session.scalar(select(HUB_LEASE.c.id).where(HUB_LEASE.c.host == host).limit(1)) is not None


async def mend_clock(session: AsyncSession, now: datetime, ahead: timedelta) -> None:
    """What is due further ahead than `ahead` was postponed by a clock that ran ahead: it is due now."""
    await session.execute(update(HUB_REQUEST).where(HUB_REQUEST.c.due_at > now + ahead).values(due_at=now))


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


async def _full(session: AsyncSession, wish: Wish, bounds: Bounds, *, held: bool) -> Full | None:
    requests, leases = HUB_REQUEST.c, HUB_LEASE.c
    waiting = select(func.count()).select_from(HUB_REQUEST)
    pair = and_(requests.topic == wish.topic, requests.callback == wish.callback)
    of_all = [
        (Full.PAIR, waiting.where(pair), bounds.requests_pair),
        (Full.HOST, waiting.where(requests.host == wish.host), bounds.requests_host),
        (Full.HOST, waiting.where(requests.domain == wish.domain, requests.domain != ""), bounds.requests_domain),
    ]
    holding = select(func.count()).select_from(HUB_LEASE).where(leases.ended_at.is_(None))
    of_new = [
        (Full.ASKER, waiting.where(requests.asker == wish.asker, requests.asker != ""), bounds.requests_asker),
        (Full.REQUESTS, waiting, bounds.requests),
        (Full.LEASES, holding, bounds.leases),
        (Full.HOST, holding.where(leases.host == wish.host), bounds.leases_host),
        (Full.HOST, holding.where(leases.domain == wish.domain, leases.domain != ""), bounds.leases_domain),
        (Full.ASKER, holding.where(leases.asker == wish.asker, leases.asker != ""), bounds.leases_asker),
    ]
    for full, query, most in of_all if held else [*of_all, *of_new]:
        if int(await session.scalar(query) or 0) >= most:
            return full
    return await _too_many_topics(session, wish, bounds) if wish.custom and not held else None


async def _too_many_topics(session: AsyncSession, wish: Wish, bounds: Bounds) -> Full | None:
    """Custom feeds are made again for each change, so only so many are; those that are waited for count too."""
    leases, requests = HUB_LEASE.c, HUB_REQUEST.c
    others = union(
        select(leases.topic).where(leases.topic.like("custom.%"), leases.ended_at.is_(None)),
        select(requests.topic).where(requests.topic.like("custom.%"), requests.mode == Mode.SUBSCRIBE),
    ).subquery()
    query = select(func.count()).select_from(others).where(others.c.topic != wish.topic)
    return Full.TOPICS if int(await session.scalar(query) or 0) >= bounds.custom_topics else None


def _same(request: Request) -> ColumnElement[bool]:
    return and_(HUB_REQUEST.c.id == request.id, HUB_REQUEST.c.challenge == request.challenge)


def _request(row: RowMapping) -> Request:
    names = ("topic", "callback", "host", "secret", "lease_seconds", "reason", "domain", "asker")
    wish = Wish(Mode(row["mode"]), **{name: row[name] for name in names})
    return Request(row["id"], wish, row["challenge"], row["attempts"])
