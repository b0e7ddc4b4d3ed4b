"""The dead delay nobody: the real engine and the real work, hosts that hang, and one that is well."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from feeds import hub_verifying
from syndicator.domain import retry
from syndicator.domain.model import ChannelKind
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.pipeline.work import Work
from syndicator.store import hub, hub_requests
from syndicator.store.hub_requests import Bounds, Mode, Wish
from tests.hub.conftest import FEED, House, face_of, until

DEAD = 100
OTHER = "az/all.atom"
TIME_OUT = 1.0  # seconds; ten in the program


class Fresh:
    """A publisher that has nothing to do."""

    async def stale(self):
        return False


class Room:
    """A room that has a bug."""

    def handlers(self):
        return {}

    async def pending(self, now):
        raise ZeroDivisionError


class Idle:
    """A fan-out that nobody needs."""

    async def fan_out(self, job, turn):
        raise NotImplementedError


@pytest.fixture
async def running(sqlite_database, site, taxonomy, now, monkeypatch):
    """A house on the machine's own clock, with its engine, and hosts that take every call and say nothing."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 1.0)
    house = House(sqlite_database, site, taxonomy, now, total=TIME_OUT)
    house.clock = lambda: datetime.now(UTC)
    house.wake = lambda: house.engine.wake()  # noqa: PLW0108  # it is made below
    house.open()
    house.streams.put(OTHER, "first")
    work = work_of(house, house.hub)
    house.engine = EmbeddedEngine(
        work.handlers(),
        work.pending,
        clock=house.clock,
        metrics=house.metrics,
        lanes={"websub": house.channel.lanes},
    )
    with ExitStack() as stack:
        house.dead = []
        for number in range(DEAD):
            host = stack.enter_context(socket.socket())
            host.bind((f"127.0.1.{number + 1}", 0))
            host.listen(16)
            house.dead.append("{}:{}".format(*host.getsockname()))
        yield house
        await house.engine.stop(0.1)
        await house.close()


def work_of(house, *rooms):
    return Work(
        house.database,
        sources={},
        intake=None,
        fanout=Idle(),
        delivery=house.delivery,
        settler=house.settler,
        publisher=Fresh(),
        channels=[ChannelKind.WEBSUB],
        clock=house.clock,
        wake=house.wake,
        workplaces=rooms,
    )


async def test_a_rooms_bug_keeps_no_other_from_its_work(sqlite_database, site, taxonomy, now):
    house = House(sqlite_database, site, taxonomy, now)
    jobs = await work_of(house, Room(), house.hub).pending(now)
    assert [job.name for job in jobs] == ["hub-tidy"]


async def lease(house, topic, *callbacks):
    values = {"language": "az", "timezone": "Asia/Baku", "now": house.clock(), "tracked": False}
    etag = house.streams.find(topic).etag
    async with house.database.writing() as session:
        for callback in callbacks:
            wish = Wish(Mode.SUBSCRIBE, topic, callback, callback.split("/")[2], lease_seconds=86_400)
            await hub_requests.ask(session, wish, callback, bounds=Bounds(), now=house.clock())
        for request in await hub_requests.due_requests(session, house.clock(), 999):
            await hub.activate(session, request, etag=etag, built=house.streams.built, **values)


async def test_a_hundred_dead_hosts_never_delay_a_healthy_one_by_a_time_out(running, reader):
    await lease(running, FEED, *(f"http://{host}/dead" for host in running.dead))
    await lease(running, OTHER, reader.url())
    loop = asyncio.get_running_loop()
    await running.engine.start()
    running.streams.put(FEED, "second")
    running.wake()
    waits = []
    for pause in (
        0.2,
        1.5 * TIME_OUT,
        TIME_OUT,
    ):  # they are asked for the first time; they have failed; they fail again
        await asyncio.sleep(pause)
        before, began = len(reader.got), loop.time()
        running.streams.put(OTHER, f"news after {pause}")
        running.wake()
        await until(lambda before=before: len(reader.got) > before)
        waits.append(loop.time() - began)
    assert max(waits) < TIME_OUT, waits


async def test_a_hundred_requests_that_hang_delay_an_honest_one_by_little(running, reader, monkeypatch):
    monkeypatch.setattr(hub_verifying, "HANGING", TIME_OUT / 4)
    monkeypatch.setattr(hub_verifying, "SECONDS", TIME_OUT / 2)
    await running.engine.start()
    async with face_of(running) as client:

        async def ask(callback, who):
            fields = {"hub.mode": "subscribe", "hub.topic": running.topic(), "hub.callback": callback}
            async with client.post("/hub", data=fields, headers={"X-Forwarded-For": who}) as answer:
                assert answer.status == 202

        for host in running.dead:
            await ask(f"http://{host}/", "192.0.2.1")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await ask(reader.url(), "192.0.2.2")
        await until(lambda: reader.asked)
        assert loop.time() - began < TIME_OUT  # the others take half of that each
    assert len(await running.leases()) <= 1
