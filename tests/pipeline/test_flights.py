"""Letters that are slow to answer: the others go on, and what is late is settled when it answers, or at a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from syndicator.domain.letters import Later, Letter, Outcome, Sent
from syndicator.domain.ports import Again, Answered, Done, Job, Turn
from syndicator.pipeline import delivery as delivering
from syndicator.pipeline import flights
from syndicator.pipeline.delivery import Delivery
from syndicator.store import ledger
from syndicator.store.ledger import Claimed, Wish
from tests.pipeline.conftest import Always, FakeChannel, Never, Press


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
    """One job over all that is due."""

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

    async def run(self, turn: Turn | None = None) -> object:
        async with self.press.database.reading() as session:
            [batch] = await ledger.open_batches(session)
        args = {"batch": batch.id, "channel": batch.channel.value}
        return await self.delivery.deliver(
            Job("deliver", "x", batch.priority, self.press.now, args=args), turn or Never()
        )

    async def count(self, state: str) -> int:
        return list((await self.press.states()).values()).count(state)

    async def until(self, state: str, many: int) -> None:
        async with asyncio.timeout(5):
            while await self.count(state) != many:
                await asyncio.sleep(0.005)

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


async def test_a_lane_gives_way_to_urgent_work_though_too_many_are_late(lane):
    lane.channel.stragglers = 0
    lane = Lane(lane.press, lane.channel)
    async with asyncio.timeout(5):
        assert isinstance(await lane.run(Always()), Again)
    await lane.until("sent", 1)
    assert await lane.count("sending") == 1
    await lane.delivery.finish()
    assert (await lane.count("sent"), await lane.count("deferred")) == (1, 1)


@dataclass
class Steps(FakeChannel):
    """Of five letters three are answered at once, then those to a@ and to b@, when `first` and `second` are set."""

    chunk: int = 10
    stragglers: int = 3
    first: asyncio.Event = field(default_factory=asyncio.Event)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self, letters: Sequence[Letter], now: datetime, answered: Answered | None = None
    ) -> Sequence[Outcome]:
        assert answered is not None
        self.sent += letters
        names = [letter.address.partition("@")[0] for letter in letters]
        for place, name in enumerate(names):
            if name not in {"a", "b"}:
                answered(place, Sent())
        try:
            for name, event in (("a", self.first), ("b", self.second)):
                await event.wait()
                answered(names.index(name), Sent())
        except asyncio.CancelledError:
            return [Later("stopped", counts=False) for _ in letters]
        return [Sent() for _ in letters]


@pytest.fixture
async def steps(press, reader) -> AsyncIterator[Lane]:
    for address in ("a@slow.az", "b@slow.az", "0@x.az", "1@x.az", "2@x.az"):
        await reader(address)
    await press.harvest(press.change())
    await press.spread()
    lane = Lane(press, Steps())
    yield lane
    await lane.delivery.finish()


class Ledger:
    """Stands before the settler: `trouble` comes instead of, or before, the first settling of what `concerns`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lane: Lane) -> None:
        self.settler = lane.press.settler
        self.reached = asyncio.Event()
        self._real = self.settler.settle
        monkeypatch.setattr(self.settler, "settle", self.settle)

    def concerns(self, claimed: Sequence[Claimed]) -> bool:
        return not self.reached.is_set()

    async def trouble(self, kind, claimed, outcomes) -> None: ...

    async def settle(self, kind, claimed, outcomes, wish: Wish | None = None):
        if self.concerns(claimed):
            self.reached.set()
            await self.trouble(kind, claimed, outcomes)
        return await self._real(kind, claimed, outcomes, wish)


class Locked(Ledger):
    """Cannot be written the first time: what was answered is owed."""

    async def trouble(self, kind, claimed, outcomes) -> None:
        self.settler._owed.append(self.settler._debt(kind, claimed, outcomes))
        raise OSError("locked")


async def test_the_last_answer_may_come_while_the_one_before_is_settled(steps, monkeypatch):
    class Takes(Ledger):
        """A commit that takes a while."""

        def concerns(self, claimed: Sequence[Claimed]) -> bool:
            return [one.address for one in claimed] == ["a@slow.az"]

        async def trouble(self, kind, claimed, outcomes) -> None:
            steps.channel.second.set()
            await asyncio.sleep(0.02)

    Takes(monkeypatch, steps)
    await steps.run()
    assert await steps.count("sending") == 2
    steps.channel.first.set()
    await steps.until("sent", 5)
    await steps.delivery.finish()
    async with steps.press.database.writing() as session:
        assert await ledger.forget_closed(session) == 1, "the last answer has closed the batch"


async def test_what_is_late_is_seen_off_though_the_ledger_fails_meanwhile(steps, monkeypatch):
    class Once(Locked):
        def concerns(self, claimed: Sequence[Claimed]) -> bool:
            return [one.address for one in claimed] == ["a@slow.az"]

    locked = Once(monkeypatch, steps)
    await steps.run()
    steps.channel.first.set()
    async with asyncio.timeout(5):
        await locked.reached.wait()
    steps.channel.second.set()
    await steps.until("sent", 5)
    await steps.delivery.finish()
    async with steps.press.database.writing() as session:
        assert await ledger.forget_closed(session) == 1, "the last answer has closed the batch"


async def test_what_is_under_way_when_a_job_fails_in_the_ledger_is_settled_when_it_answers(steps, monkeypatch):
    steps.channel.stragglers = 0
    lane = Lane(steps.press, steps.channel)
    Locked(monkeypatch, lane)
    with pytest.raises(OSError, match="locked"):
        await lane.run()
    lane.channel.first.set()
    lane.channel.second.set()
    await lane.until("sent", 5)
    await lane.delivery.finish()


async def test_a_stop_while_a_part_is_settled_leaves_nothing_of_the_rest_behind(steps, monkeypatch):
    class Takes(Ledger):
        async def trouble(self, kind, claimed, outcomes) -> None:
            await asyncio.sleep(0.05)

    steps.channel.stragglers = 0
    lane = Lane(steps.press, steps.channel)
    takes = Takes(monkeypatch, lane)
    real = takes._real

    async def owing(kind, claimed, outcomes, wish=None):
        """As the settler: who is cancelled before anything is written owes it."""
        try:
            return await Takes.settle(takes, kind, claimed, outcomes, wish)
        except asyncio.CancelledError:
            takes.settler._owed.append(takes.settler._debt(kind, claimed, outcomes))
            raise

    monkeypatch.setattr(takes.settler, "settle", owing)
    running = asyncio.create_task(lane.run())
    async with asyncio.timeout(5):
        await takes.reached.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    monkeypatch.setattr(takes.settler, "settle", real)
    await lane.delivery.finish()
    assert (await lane.count("sent"), await lane.count("deferred")) == (3, 2)


async def test_a_stop_while_letters_are_composed_lets_all_of_them_wait(steps, monkeypatch):
    begun = asyncio.Event()

    async def compose(claimed: Sequence[Claimed]) -> Sequence[Letter]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(steps.delivery, "_compose", compose)
    running = asyncio.create_task(steps.run())
    async with asyncio.timeout(5):
        await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await steps.delivery.finish()
    assert await steps.count("deferred") == 5
    assert not steps.channel.sent


async def test_a_flight_that_is_stopped_before_its_first_step_waits(steps):
    async with steps.press.database.reading() as session:
        [batch] = await ledger.open_batches(session)
    claimed = await steps.press.settler.claim(Wish(batch.id, 10))
    late, settled = flights.Late(10), []

    async def settle(flight: flights.Flight) -> None:
        settled.extend(flight.take()[1])

    async def never(answered: Answered) -> Sequence[Outcome]:
        raise AssertionError

    flight = flights.Flight(claimed, never)
    late.keep(flight, settle)
    await flight.stop()
    await late.finish()
    assert settled == [flights.STOPPED] * 5


async def test_a_channel_that_does_not_answer_when_told_to_stop_keeps_nobody_from_stopping(steps):
    async def deaf(answered: Answered) -> Sequence[Outcome]:
        answered(0, Sent())
        await asyncio.Event().wait()
        raise AssertionError

    async with steps.press.database.reading() as session:
        [batch] = await ledger.open_batches(session)
    claimed = await steps.press.settler.claim(Wish(batch.id, 10))
    late, settled = flights.Late(10), []

    async def settle(flight: flights.Flight) -> None:
        settled.extend(flight.take()[1])

    late.keep(flights.Flight(claimed, deaf), settle)
    async with asyncio.timeout(5):
        await late.finish()
    assert settled == [Sent()]


async def test_what_is_late_is_told_at_once_where_no_time_is_left(steps, monkeypatch):
    monkeypatch.setattr(flights, "GRACE", 60)
    await steps.run()
    async with asyncio.timeout(5):
        await steps.delivery.finish(0)
    assert (await steps.count("sent"), await steps.count("deferred")) == (3, 2)
