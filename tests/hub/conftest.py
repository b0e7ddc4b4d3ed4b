"""A hub over a real database, feeds in memory, and subscribers on real sockets of 127.0.0.1; time is passed in."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from sqlalchemy import select

from feeds.files import Stored, etag_of
from feeds.hub import Hub
from feeds.hub_askers import OwnAskers
from feeds.hub_routes import hub_routes
from feeds.hub_topics import Topics
from feeds.websub import WebSubChannel
from syndicator.domain.filters import BadFilter, canonical
from syndicator.domain.jobs import lane_of
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Job
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.net import Outgoing
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.settling import Settler
from syndicator.store import ledger
from syndicator.store.hub_requests import Bounds
from syndicator.store.tables import HUB_LEASE, HUB_REQUEST, HUB_TOPIC, MESSAGE
from syndicator.web.subscribe import PROXIES

FEED = "en/all.atom"


class FakeStreams:
    """Feeds by name; whoever puts one moves the store on."""

    def __init__(self):
        self.held: dict[str, Stored] = {}
        self.built = 1

    def put(self, name, text):
        body = text.encode()
        self.built += 1
        self.held[name] = Stored(body, {}, etag_of(body), datetime(2026, 11, 21, tzinfo=UTC))

    def knows(self, name):
        return name in self.held

    def find(self, name):
        return self.held.get(name)

    def etags(self):
        return {name: stored.etag for name, stored in self.held.items()}


class FakeCustom:
    """Custom feeds by canonical text; counts how many were made."""

    def __init__(self):
        self.held: dict[str, str] = {}
        self.made = 0
        self.broken: Exception | None = None

    async def find(self, wanted, fmt, now):
        self.made += 1
        if self.broken:
            raise self.broken
        if canonical(wanted) not in self.held:
            raise BadFilter("nothing fits")
        body = self.held[canonical(wanted)].encode()
        return Stored(body, {}, etag_of(body), now)


@dataclass
class Got:
    """One request that a callback got."""

    path: str
    query: dict[str, str]
    headers: CIMultiDict
    body: bytes


@dataclass
class Reader:
    """Callbacks on a socket: `answers` says by path what a POST is answered (a status, or a coroutine function)."""

    got: list[Got] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, object] = field(default_factory=lambda: defaultdict(lambda: 204))
    verify: object = None
    base: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            query = dict(request.query)
            self.asked.append({"path": request.path, **query})
            if callable(self.verify):
                return await self.verify(request)
            return web.Response(text=query.get("hub.challenge", ""))
        body = await request.read()
        self.got.append(Got(request.path, dict(request.query), CIMultiDict(request.headers), body))
        answer = self.answers[request.path]
        if callable(answer):
            return await answer(request)
        return web.Response(status=answer)

    def url(self, path="/cb", query=""):
        return f"{self.base}{path}{query}"

    def bodies(self, path="/cb"):
        return [got.body.decode() for got in self.got if got.path == path]


class Never:
    """A turn that nobody else wants."""

    def should_yield(self):
        return False


class House:
    """The hub, the ledger and the channel, moved by hand."""

    def __init__(self, database, site, taxonomy, now, hubs=(), total=3.0, allow=("127.0.0.0/8",)):
        self.database, self.site, self.taxonomy, self.now = database, site, taxonomy, now
        self.hubs, self.total, self.allow, self.takes = hubs, total, allow, True
        self.streams, self.custom = FakeStreams(), FakeCustom()
        self.streams.put(FEED, "first")
        self.metrics = Metrics()
        self.open()

    def clock(self):
        return self.now

    def wake(self):
        pass

    def open(self):
        """As after a start of the process: nothing is remembered but what the database holds."""
        self.outgoing = Outgoing(self.allow, agent="test", total=self.total, connect=self.total)
        self.topics = Topics(self.streams, self.site, self.taxonomy, self.clock, self.custom)
        usual = {"clock": self.clock, "wake": self.wake}
        self.hub = Hub(self.database, self.outgoing, self.topics, self.site, hubs=self.hubs, takes=self.takes, **usual)
        self.channel = WebSubChannel(
            self.database, self.outgoing, self.topics, hub_address=self.site.hub, hubs=self.hubs
        )
        self.settler = Settler(
            self.database,
            policies={ChannelKind.WEBSUB: RetryPolicy(3, ResendUnknown.ONCE)},
            clock=self.clock,
            metrics=self.metrics,
        )
        self.delivery = Delivery(
            self.database,
            {ChannelKind.WEBSUB: self.channel},
            tokens=Tokens(b"0123456789abcdef"),
            settler=self.settler,
            clock=self.clock,
            wake=self.wake,
        )

    async def restart(self):
        """The process died and is started again."""
        await self.outgoing.close()
        self.open()
        async with self.database.writing() as session:
            await ledger.recover(session, self.now)

    async def close(self):
        await self.outgoing.close()

    async def run(self, *names):
        """Do the hub's jobs that are due, those named or all; returns what was done."""
        done = []
        for job in await self.hub.pending(self.now):
            if job.due <= self.now and (not names or job.name in names):
                await self.hub.handlers()[job.name](job, Never())
                done.append(job.name)
        return done

    async def send(self):
        """Deliver what is due, batch after batch, by as many workers as each lane has."""
        async with self.database.writing() as session:
            await ledger.sweep(session, self.now)
        async with self.database.reading() as session:
            batches = await ledger.open_batches(session)
        workers = defaultdict(lambda: asyncio.Semaphore(1), {"websub": asyncio.Semaphore(self.channel.lanes)})

        async def deliver(batch):
            args = {"batch": batch.id, "channel": batch.channel.value}
            async with workers[lane_of(batch.channel, batch.priority)]:  # first come, first served
                await self.delivery.deliver(Job("deliver", "x", batch.priority, self.now, args=args), Never())

        await asyncio.gather(*map(deliver, batches))

    async def go(self):
        """Everything that is due, until nothing is."""
        for _ in range(10):
            done = await self.run()
            await self.send()
            if not [name for name in done if name != "hub-tidy"]:
                return

    def later(self, **span):
        self.now += timedelta(**span)

    async def rows(self, table):
        async with self.database.reading() as session:
            return [dict(row) for row in (await session.execute(select(table))).mappings()]

    async def leases(self):
        return [row for row in await self.rows(HUB_LEASE) if row["ended_at"] is None]

    async def requests(self):
        return await self.rows(HUB_REQUEST)

    async def told(self):
        return {row["name"]: row for row in await self.rows(HUB_TOPIC)}

    async def messages(self):
        return [row["key"] for row in await self.rows(MESSAGE)]

    async def states(self):
        async with self.database.reading() as session:
            listed = await ledger.listing(session, limit=1000)
        return [(row["message"], row["state"], row["reason"]) for row in reversed(listed)]

    def topic(self, name=FEED):
        return f"{self.site.base_url}/feeds/{name}"


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    made = Reader()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        made.base = f"http://127.0.0.1:{server.port}"
        yield made


@pytest.fixture
async def build(database, site, taxonomy, now) -> AsyncIterator[Callable[..., House]]:
    async with houses(database, site, taxonomy, now) as made:
        yield made


@pytest.fixture
async def build_on_sqlite(sqlite_database, site, taxonomy, now) -> AsyncIterator[Callable[..., House]]:
    """For what has nothing to do with the database's kind."""
    async with houses(sqlite_database, site, taxonomy, now) as made:
        yield made


@asynccontextmanager
async def houses(*given) -> AsyncIterator[Callable[..., House]]:
    made: list[House] = []

    def house(**values):
        made.append(House(*given, **values))
        return made[-1]

    yield house
    for one in made:
        await one.close()


@pytest.fixture
def house(build) -> House:
    return build()


@pytest.fixture
def face(house) -> Callable[..., object]:
    """The hub's address over HTTP."""
    return lambda **bounds: face_of(house, **bounds)


def face_of(house, *, askers=None, **bounds):
    app = web.Application()
    app[PROXIES] = ()
    routes = hub_routes(
        house.database,
        house.topics,
        own=house.site.base_url,
        allow=house.outgoing.allow,
        askers=askers or OwnAskers(),
        clock=house.clock,
        wake=house.wake,
        bounds=Bounds(**bounds),
    )
    app.add_routes(routes)
    return TestClient(TestServer(app, host="127.0.0.1"))


@pytest.fixture
def subscribe(house, face):
    """Ask the hub as a subscriber does, and let the callback be asked."""

    async def subscribed(callback, *, verify=True, **fields):
        values = {"hub.mode": "subscribe", "hub.topic": house.topic(), "hub.callback": callback}
        values |= {f"hub.{name}": value for name, value in fields.items()}
        async with face() as client, client.post("/hub", data=values) as answer:
            said = (answer.status, await answer.text())
        if verify:
            await house.run("hub-verify")
        return said

    return subscribed


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what happens on a socket; bounded."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
