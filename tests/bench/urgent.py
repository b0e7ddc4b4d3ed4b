"""An urgent release behind a million pending deliveries: how long until its first message is sent.

Half of the readers are told by mail and half by Telegram. Both are slow: a chunk of 20 mails takes 0.4 s in each of
four lanes, a chat's message 0.1 s in each of ten. The clock runs from the commit of the urgent release; then come its
fan-out's first step, its batch and a free lane.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from syndicator.domain.jobs import deliver_job, fanout_job
from syndicator.domain.letters import Letter, Outcome, Sent
from syndicator.domain.model import ChannelKind, MessageKind, Priority
from syndicator.domain.ports import Attendance, Job, Turn, Verdict
from syndicator.domain.retry import RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.metrics import Metrics
from syndicator.pipeline.bell import Bell
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.settling import Settler
from syndicator.store import ledger, migrate
from syndicator.store.database import Database
from tests.bench.crowd import NOW, SITE, announce, crowd, taxonomy
from tests.bench.fanout import Alone, served
from tests.bench.figures import Figure, child

__all__ = ["figures", "measure"]

PEOPLE = 1_000_000
LIMIT = 10.0  # seconds
WARM = 400  # messages of the backlog that are sent first
PATIENCE = 120.0
KINDS = {ChannelKind.EMAIL: (4, 20, 0.4), ChannelKind.TELEGRAM: (10, 1, 0.1)}  # lanes, chunk, seconds a chunk
TELLS = {kind: [MessageKind.RELEASE] for kind in KINDS}


def measure(folder: Path) -> Iterator[Figure]:
    """The embedded engine on SQLite, the cluster's on PostgreSQL."""
    yield from figures("embedded", f"sqlite:///{folder}/crowd.db")
    with served() as url:
        yield from figures("cluster", url)


def figures(engine: str, url: str, people: int = PEOPLE, warm: int = WARM) -> Iterator[Figure]:
    """That many readers on an empty database at that address, and one of the engines `embedded` and `cluster`."""
    asyncio.run(_prepare(url, people))
    found = child("urgent", engine, url, str(warm))
    assert found["pending"] == people, found
    begun = found["begun"]
    yield Figure(f"{engine}: asking for pending work, {people:,} pending", f"{found['asked'] * 1000:.0f} ms")
    yield Figure(f"{engine}: start with {people:,} pending, until the first message", f"{begun:.2f} s")
    for kind in KINDS:
        took = found[kind.value]
        yield Figure(
            f"{engine}: urgent behind {people:,} pending, first by {kind.value}",
            f"{took:.2f} s",
            f"limit {LIMIT:g} s",
            took / LIMIT,
        )


async def _prepare(url: str, people: int) -> None:
    await migrate.upgrade(url)
    if url.startswith("postgresql"):
        await import_module("syndicator.engine.schema").upgrade(url)
    database = Database(url)
    await crowd(database, people, 1, chats=2)
    message = await announce(database)
    fanout = Fanout(database, site=SITE, taxonomy=taxonomy(), tells=TELLS, clock=lambda: NOW, wake=lambda: None)
    await fanout.fan_out(Job("fanout", "fanout", Priority.NORMAL, NOW, args={"message": message}), Alone())
    await database.close()


@dataclass
class Slow:
    """A way out that takes its time; notes when the first letter of each message began."""

    kind: ChannelKind
    sent: int = 0
    first: dict[str, float] = field(default_factory=dict)
    tells: Sequence[MessageKind] = (MessageKind.RELEASE,)

    @property
    def lanes(self) -> int:
        return KINDS[self.kind][0]

    @property
    def chunk(self) -> int:
        return KINDS[self.kind][1]

    def ready_at(self, _now: datetime) -> datetime | None:
        return None

    async def send(self, letters: Sequence[Letter], _now: datetime) -> Sequence[Outcome]:
        self.first.setdefault(letters[0].message, time.perf_counter())
        await asyncio.sleep(KINDS[self.kind][2])
        self.sent += len(letters)
        return [Sent({"number": letter.delivery}) for letter in letters]

    async def close(self) -> None: ...


class _Road:
    """What main.py puts together, as far as it matters here."""

    def __init__(self, url: str, engine: str) -> None:
        self.database, self.bell = Database(url), Bell()
        self.channels = {kind: Slow(kind) for kind in KINDS}
        self.delivery: Delivery
        how: Mapping[str, Any] = {
            "clock": self.clock,
            "metrics": Metrics(),
            "lanes": {kind.value: channel.lanes for kind, channel in self.channels.items()},
        }
        handlers = {"fanout": self._fanout().fan_out, "deliver": self._deliver}
        if engine == "embedded":
            self.engine: Any = EmbeddedEngine(handlers, self.pending, **how)
            self.delivery = self._delivery(None)
        else:
            self.engine = import_module("syndicator.engine.cluster").ClusterEngine(
                url, handlers, self.pending, heard=lambda: None, **how
            )
            self.database.attach(self.engine.post)
            self.delivery = self._delivery(self.engine.attendance)
        self.bell.hang(self.engine.wake)

    async def _deliver(self, job: Job, turn: Turn) -> Verdict:
        return await self.delivery.deliver(job, turn)

    @staticmethod
    def clock() -> datetime:
        return datetime.now(UTC)

    def _fanout(self) -> Fanout:
        return Fanout(self.database, site=SITE, taxonomy=taxonomy(), tells=TELLS, clock=self.clock, wake=self.bell.ring)

    def _delivery(self, attendance: Attendance | None) -> Delivery:
        attended: Mapping[str, Any] = {} if attendance is None else {"attendance": attendance}
        policies = dict.fromkeys(KINDS, RetryPolicy())
        settler = Settler(self.database, policies=policies, clock=self.clock, metrics=Metrics(), **attended)
        return Delivery(
            self.database,
            self.channels,
            tokens=Tokens(b"0123456789abcdef"),
            settler=settler,
            clock=self.clock,
            wake=self.bell.ring,
            **attended,
        )

    async def pending(self, now: datetime) -> list[Job]:
        async with self.database.reading() as session:
            messages = await ledger.open_messages(session)
            batches = await ledger.open_batches(session)
        found = [fanout_job(m.id, m.priority, m.again_at or now) for m in messages]
        return found + [deliver_job(b.id, b.channel, b.priority, now) for b in batches]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                await asyncio.sleep(0.01)


async def _measure(engine: str, url: str, warm: int) -> None:
    road = _Road(url, engine)
    async with road.database.reading() as session:
        query = "SELECT count(*) FROM delivery WHERE state = 'due'"
        pending = (await (await session.connection()).exec_driver_sql(query)).scalar_one()
    begun = time.perf_counter()
    await road.pending(road.clock())
    asked = time.perf_counter() - begun
    begun = time.perf_counter()
    await road.engine.start()
    await road.until(lambda: all(channel.sent >= warm for channel in road.channels.values()))
    started = min(min(channel.first.values()) for channel in road.channels.values()) - begun
    await announce(road.database, key="urgent", priority=Priority.URGENT)
    said = time.perf_counter()
    road.bell.ring()
    key = "release:2:0"
    await road.until(lambda: all(key in channel.first for channel in road.channels.values()))
    found = {kind.value: channel.first[key] - said for kind, channel in road.channels.items()}
    print(json.dumps({"pending": pending, "asked": asked, "begun": started, **found}), flush=True)  # noqa: T201  # to the parent
    await road.engine.stop(5)
    await road.delivery.finish()
    if engine == "cluster":
        await road.engine.leave()
    await road.database.close()


if __name__ == "__main__":
    uvloop.run(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))
