"""The rate of all mail, where several processes send: turns from one row, and what each may use of other limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.email.pace import budget
from bots.email.pace.allowance import Allowance
from bots.email.pace.budget import SharedRate
from bots.email.pace.heard import Heard
from bots.email.pace.limits import Ceiling, Limits, WarmUpPlan
from bots.email.pace.pace import RELAY, Pace
from bots.email.pace.share import NO_SHARE, Share
from syndicator.store import rates
from syndicator.store.database import DatabaseTrouble

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class Row:
    """The row that processes share, with the arithmetic of `store.rates` and a clock that is moved by who sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.due, self.asked, self.is_away = 0.0, 0.0, 0, False
        monkeypatch.setattr(budget.rates, "reserve", self.reserve)
        monkeypatch.setattr(budget.rates, "in_haste", self.in_haste)

    def ticks(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Whoever sleeps moves the clock; the others are asked first."""
        ends = self.now + seconds
        for _ in range(20):
            await asyncio.sleep(0)
        self.now = max(self.now, ends)

    async def in_haste(self, _session: object) -> None:
        pass

    @asynccontextmanager
    async def writing(self):
        if self.is_away:
            raise DatabaseTrouble("it is away")
        yield None

    async def reserve(self, _session: object, of: rates.Budget, turns: int, _now: object = None) -> timedelta | None:
        self.asked += 1
        every = of.every.total_seconds()
        begins = max(self.due, self.now)
        if begins + turns * every > self.now + of.longest.total_seconds():
            return None
        self.due = begins + turns * every
        return timedelta(seconds=begins - self.now - every * (of.burst - 1))

    def process(self, per_second: float) -> SharedRate:
        return SharedRate(per_second, self, ticks=self.ticks, sleep=self.sleep)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> Row:
    return Row(monkeypatch)


async def lanes(row: Row, process: SharedRate, chunks: int, size: int, sent: list[float]) -> None:
    """Sends so many chunks one after another; when each mail went."""
    for _ in range(chunks):
        left = size
        while left:
            got = await process.turns(left)
            sent += [row.now] * got
            left -= got


def most_in_a_second(sent: Sequence[float]) -> int:
    return max(sum(begins <= one < begins + 1 for one in sent) for begins in sent)


async def test_two_processes_together_keep_the_rate_and_use_all_of_it(row: Row) -> None:
    one, two = row.process(400), row.process(400)
    sent: list[float] = []
    await asyncio.gather(*(lanes(row, each, 20, 20, sent) for each in (one, two) for _ in range(4)))
    assert len(sent) == 3_200
    assert row.now == pytest.approx(8, rel=0.1), "3,200 mails at 400 a second"
    assert most_in_a_second(sent) <= 400 * 2


async def test_few_statements_are_needed(row: Row) -> None:
    process, sent = row.process(400), list[float]()
    await asyncio.gather(*(lanes(row, process, 20, 20, sent) for _ in range(9)))
    assert row.asked <= 4 * row.now + 9


async def test_one_that_sends_little_takes_little_from_the_others(row: Row) -> None:
    process = row.process(400)
    for _ in range(10):
        assert await process.turns(1) == 1
        await row.sleep(1.0)
    assert row.due <= row.now - 1 + 4 / 400, "grants were for one or two"


async def test_what_is_granted_goes_without_the_database_and_nothing_else_does(row: Row) -> None:
    process = row.process(400)
    assert await process.turns(60) == 60
    await process.turns(20)
    row.is_away = True
    went = 0
    while got := await process.turns(20):
        went += got
    assert went <= 100 - 20
    assert process.ready_in() > 1, "nothing more is claimed for a while"
    row.is_away = False
    await row.sleep(5.0)
    assert await process.turns(20) == 20


async def test_what_may_not_wait_goes_and_the_others_make_room_for_it(row: Row) -> None:
    one, two, sent = row.process(100), row.process(100), list[float]()
    for _ in range(50):
        one.used()
    await one.pay()
    await one.pay()
    await lanes(row, two, 10, 10, sent)
    assert row.now >= 1.0, "150 mails at 100 a second, a quarter of a second ahead"


async def test_a_slow_rate_lets_one_go_and_says_when_to_come_again(row: Row) -> None:
    process = row.process(0.5)
    assert await process.turns(20) == 1
    assert await process.turns(20) in (0, 1)
    assert row.now <= 6


async def test_who_is_told_to_stop_while_waiting_holds_nobody_up(row: Row) -> None:
    process = row.process(10)
    waits = asyncio.create_task(process.turns(50))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert process.ready_in() == 0
    await row.sleep(3.0)
    assert await process.turns(2) > 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 1), st.integers(1, 60)), min_size=1, max_size=40),
    per_second=st.sampled_from([4, 40, 400]),
)
async def test_over_any_second_never_more_than_is_said(
    row: Row, asked: Sequence[tuple[int, int, int]], per_second: int
) -> None:
    row.now = row.due = row.now + 100.0
    processes, sent = [row.process(per_second), row.process(per_second)], list[float]()
    for later, who, number in asked:
        row.now += later / 1000
        got = await processes[who].turns(number)
        sent += [row.now] * got
    for place, begins in enumerate(sent):
        for number, ends in enumerate(sent[place:], 1):
            assert number <= per_second * (ends - begins + 1) + 2


def test_turns_that_were_not_needed_serve_the_next_and_are_lost_after_a_moment() -> None:
    held = Allowance(100)
    held.granted(25, -0.24, 0.0)
    assert held.take(20, 0.0) == 20
    held.give_back(15, 0.0)
    assert held.take(30, 0.1) == 20
    held.granted(25, 1.0, 1.0)
    assert held.take(25, 1.6) == 0


# -- what is divided


@pytest.mark.parametrize(("places", "among"), [(5, 2), (1, 3), (8, 8), (0, 2), (7, 1)])
def test_places_are_divided_and_none_is_given_twice(places: int, among: int) -> None:
    assert sum(Share(place, among).of_places(places) for place in range(among)) == places


class Free:
    """A shared rate that always has turns."""

    def ready_in(self) -> float:
        return 0.0

    def used(self) -> None:
        pass


def pace_of(limits: Limits, share: Share) -> Pace:
    pace = Pace(limits, shared=Free())
    pace.share(share)
    return pace


def bulk(pace: Pace, number: int, now: datetime = NOW, domain: str = "slow.example") -> int:
    return [pace.admit(domain, now, has_turn=True) for _ in range(number)].count(None)


def test_a_domains_limits_hold_for_all_processes_together() -> None:
    limits = Limits(domains={"slow.example": Ceiling(per_second=10, connections=3)})
    places = [bulk(pace_of(limits, Share(place, 2)), 20) for place in range(2)]
    assert sum(places) <= 3
    rated = Limits(domains={"slow.example": Ceiling(per_second=10)})
    paces, went = [pace_of(rated, Share(place, 4)) for place in range(4)], 0
    for tick in range(100):
        for pace in paces:
            now = NOW + timedelta(seconds=tick / 10)
            got = bulk(pace, 20, now)
            went += got
            for _ in range(got):
                pace.done("slow.example", Heard.TAKEN, now)
    assert 80 <= went <= 10 * 10 + 2 * 10, "ten seconds' worth, and two seconds' at once after a rest"


def test_who_does_not_know_how_many_there_are_sends_only_where_there_is_no_limit() -> None:
    limits = Limits(domains={"slow.example": Ceiling(per_second=10)})
    pace = pace_of(limits, NO_SHARE)
    assert bulk(pace, 3) == 0
    assert pace.admit("slow.example", NOW, urgent=True) is not None
    assert bulk(pace, 3, domain="other.example") > 0
    pace.share(Share(0, 1))
    assert bulk(pace, 3, NOW + timedelta(seconds=1)) == 3


def test_a_day_of_warming_up_is_divided_and_who_used_its_share_waits_a_moment_and_not_a_day() -> None:
    plan = WarmUpPlan(date(2026, 11, 22), 10, ZoneInfo("Asia/Baku"))
    pace = pace_of(Limits(warm_up=plan), Share(0, 2))
    for _ in range(3):
        assert pace.admit("example.org", NOW, urgent=True) is None
    place = pace.admit("example.org", NOW, has_turn=True)
    assert place is not None
    assert place - NOW < timedelta(seconds=10)
    pace.warm_up.know(date(2026, 11, 22), 10)
    place = pace.admit("example.org", NOW, has_turn=True)
    assert place is not None
    assert place - NOW > timedelta(hours=1)


def test_bulk_without_a_turn_comes_again_and_one_with_a_turn_goes() -> None:
    pace = pace_of(Limits(), Share())
    place = pace.admit("example.org", NOW)
    assert place is not None
    assert NOW < place <= NOW + timedelta(seconds=3)
    assert pace.admit("example.org", NOW, has_turn=True) is None


def test_a_machine_that_does_not_reach_the_relay_stops_no_other() -> None:
    pace = pace_of(Limits(), Share())
    pace.relay_paused(NOW + timedelta(minutes=5), NOW, "no route to it", said=False)
    assert pace.ready_at(NOW) == NOW + timedelta(minutes=5)
    assert pace.unkept() == []
    pace.relay_paused(NOW + timedelta(minutes=6), NOW, "421")
    assert [one.scope for one in pace.unkept()] == [RELAY]


async def test_the_next_grant_is_asked_for_while_the_last_one_is_used(row: Row) -> None:
    process = row.process(400)
    assert await process.turns(80) == 80
    await process.stop()
    asked = row.asked
    assert await process.turns(20) == 20
    assert row.asked == asked, "they were there"
    await process.stop()
