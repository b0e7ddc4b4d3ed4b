"""Letters that are slow to answer: the others go on, and what is late is settled when it answers, or at a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from syndicator.domain.letters import Later, Letter, Outcome, Sent
from syndicator.domain.ports import Answered, Done, Job
from syndicator.pipeline import delivery as delivering
from syndicator.pipeline import flights
from syndicator.pipeline.delivery import Delivery
from syndicator.store import ledger
from tests.pipeline.conftest import FakeChannel, Never, Press


@dataclass
class Slow(FakeChannel):
    """Answers each letter at once, but those at slow.az when `go_on` is set; told to stop, they wait."""

    stragglers: int = 2
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self, letters: Sequence[Letter], now: datetime, answered: Answered | None = None
    ) -> Sequence[Outcome]:
        assert answered is not None
        self.sent += letters
        slow = {place for place, letter in enumerate(letters) if letter.address.endswith("slow.az")}
        for place in set(range(len(letters))) - slow:
            answered(place, Sent())
        try:
            if slow:
                await self.go_on.wait()
        except asyncio.CancelledError:
            return [Later("stopped", counts=False) for _ in letters]
        return [Sent() for _ in letters]


class Lane:
    """One job over all that is due to seven readers, of whom the first is slow."""

    def __init__(self, press: Press, channel: Slow) -> None:
        self.press, self.channel = press, channel
        self.delivery = Delivery(
            press.database,
            {channel.kind: channel},
            tokens=press.tokens,
            settler=press.settler,
            clock=lambda: press.now,
            wake=press.wake,
        )

    async def run(self) -> object:
        async with self.press.database.reading() as session:
            [batch] = await ledger.open_batches(session)
        args = {"batch": batch.id, "channel": batch.channel.value}
        return await self.delivery.deliver(Job("deliver", "x", batch.priority, self.press.now, args=args), Never())

    async def count(self, state: str) -> int:
        return list((await self.press.states()).values()).count(state)

    async def all_but_one_sent(self) -> None:
        async with asyncio.timeout(10):
            while await self.count("sent") < 6:
                await asyncio.sleep(0.01)
        assert await self.count("sending") == 1


@pytest.fixture(autouse=True)
def short_lull(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (flights, delivering):
        monkeypatch.setattr(place, "LULL", 0.01)
    monkeypatch.setattr(flights, "GRACE", 0.01)


@pytest.fixture
async def lane(press, reader) -> AsyncIterator[Lane]:
    await reader("first@slow.az")
    for number in range(6):
        await reader(f"{number}@x.az")
    await press.harvest(press.change())
    await press.spread()
    lane = Lane(press, Slow())
    yield lane
    await lane.delivery.finish()


async def test_a_job_ends_without_its_slow_letter_which_is_settled_when_it_answers(lane):
    assert isinstance(await lane.run(), Done)
    await lane.all_but_one_sent()
    lane.channel.go_on.set()
    await lane.delivery.finish()
    assert await lane.count("sent") == 7
    assert len(lane.channel.sent) == 7
    async with lane.press.database.writing() as session:
        assert await ledger.forget_closed(session) == 1, "the last answer has closed the batch"


async def test_a_stop_settles_what_is_late_as_the_channel_says(lane):
    await lane.run()
    await lane.all_but_one_sent()
    await lane.delivery.finish()
    assert (await lane.count("sent"), await lane.count("deferred")) == (6, 1)


async def test_where_too_many_are_late_a_lane_waits_and_what_was_answered_is_settled(lane):
    lane.channel.stragglers = 0
    lane = Lane(lane.press, lane.channel)
    running = asyncio.create_task(lane.run())
    async with asyncio.timeout(5):
        while not await lane.count("sent"):
            await asyncio.sleep(0.01)
    assert len(lane.channel.sent) == lane.channel.chunk, "nothing more was claimed"
    running.cancel()
    assert isinstance(await running, Done)
    assert (await lane.count("sent"), await lane.count("deferred")) == (6, 1)
