"""Several processes that send: what one of them learns the others know, and what is limited is divided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bots.email.pace.budget import SharedRate
from bots.email.pace.heard import Heard
from bots.email.pace.keeper import BELIEVED, JOINING, Keeper
from bots.email.pace.limits import Ceiling, Limits, WarmUpPlan
from bots.email.pace.pace import Pace
from syndicator.metrics import Metrics
from syndicator.store import pauses
from syndicator.store.database import Database, DatabaseTrouble

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LIMITS = Limits(
    per_second=1_000,
    domains={"slow.example": Ceiling(connections=4)},
    warm_up=WarmUpPlan(date(2026, 11, 22), 100, ZoneInfo("Asia/Baku")),
)


@dataclass
class Machines:
    """Processes of one office, each with its own connections; their clock is moved by hand."""

    url: str
    at: float = 0.0
    made: list[Machine] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.at)

    def one_more(self) -> Machine:
        machine = Machine(self, Database(self.url))
        self.made.append(machine)
        return machine

    async def go_on(self, seconds: int) -> None:
        """So many seconds, each process keeping its pace once in each."""
        for _ in range(seconds):
            self.at += 1
            for machine in self.made:
                await machine.keeper.keep(self.now)


class Machine:
    """One process. `break_line`: it reaches no database any more."""

    def __init__(self, machines: Machines, database: Database) -> None:
        self.machines, self.database = machines, database
        self.rate = SharedRate(LIMITS.per_second, database)
        self.pace = Pace(LIMITS, shared=self.rate)
        self.keeper = Keeper(
            self.pace,
            database,
            clock=lambda: machines.now,
            metrics=Metrics(),
            rate=self.rate,
            ticks=lambda: machines.at,
        )

    def sends(self, domain: str, number: int, *, urgent: bool = False) -> int:
        """How many of so many go now; they are on their way."""
        return [self.pace.admit(domain, self.machines.now, urgent=urgent, has_turn=True) for _ in range(number)].count(
            None
        )

    def break_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away() -> None:
            raise DatabaseTrouble("no line")

        monkeypatch.setattr(self.database, "writing", away)
        monkeypatch.setattr(self.database, "reading", away)


@pytest.fixture
async def machines(postgresql_url: str) -> AsyncIterator[Machines]:
    made = Machines(postgresql_url)
    yield made
    for machine in made.made:
        await machine.database.close()


async def test_a_pause_that_one_is_asked_for_is_kept_by_all_within_five_seconds(machines: Machines) -> None:
    one, two = machines.one_more(), machines.one_more()
    await machines.go_on(15)
    one.sends("busy.example", 1, urgent=True)
    one.pace.done("busy.example", Heard.SLOW_DOWN, machines.now)
    await machines.go_on(5)
    assert two.pace.admit("busy.example", machines.now, urgent=True) is not None
    one.pace.relay_paused(machines.now + timedelta(minutes=3), machines.now, "421")
    await machines.go_on(5)
    assert two.pace.ready_at(machines.now) is not None
    async with one.database.writing() as session:
        await pauses.lift_mail(session, machines.now)
    await machines.go_on(5)
    assert two.pace.ready_at(machines.now) is None
    assert two.pace.admit("busy.example", machines.now, urgent=True) is None


async def test_a_domains_connections_are_divided_and_who_comes_waits_until_all_know(machines: Machines) -> None:
    one = machines.one_more()
    await machines.go_on(1)
    assert one.sends("slow.example", 9, urgent=True) == 4, "alone it has all of them at once"
    for _ in range(4):
        one.pace.done("slow.example", Heard.TAKEN, machines.now)
    two = machines.one_more()
    await machines.go_on(3)
    assert two.sends("slow.example", 9, urgent=True) == 0
    assert one.sends("slow.example", 9, urgent=True) == 2
    await machines.go_on(int(JOINING) + 1)
    assert two.sends("slow.example", 9, urgent=True) == 2


async def test_who_loses_the_database_gives_up_its_share_before_the_others_take_it(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines.one_more(), machines.one_more()
    await machines.go_on(int(JOINING) + 3)
    assert (one.sends("slow.example", 9, urgent=True), two.sends("slow.example", 9, urgent=True)) == (2, 2)
    two.break_line(monkeypatch)
    await machines.go_on(int(BELIEVED) + 2)
    for _ in range(2):
        two.pace.done("slow.example", Heard.TAKEN, machines.now)
    assert two.sends("slow.example", 9, urgent=True) == 0
    assert two.sends("other.example", 1, urgent=True) == 1, "what has no limit goes on"


async def test_who_stops_leaves_its_share_to_the_others(machines: Machines) -> None:
    one, two = machines.one_more(), machines.one_more()
    await machines.go_on(int(JOINING) + 3)
    await two.keeper.start()
    await two.keeper.stop()
    machines.made.remove(two)
    await machines.go_on(3)
    assert one.sends("slow.example", 9, urgent=True) == 4
    await two.database.close()


async def test_two_processes_keep_one_days_cap(machines: Machines) -> None:
    one, two = machines.one_more(), machines.one_more()
    await machines.go_on(int(JOINING) + 3)
    went = 0
    for _ in range(12):
        for machine in (one, two):
            got = machine.sends("example.org", 30)
            went += got
            for _ in range(got):
                machine.pace.done("example.org", Heard.TAKEN, machines.now)
        await machines.go_on(1)
    assert 95 <= went <= 102, "a mail more for each process at most"


async def test_what_went_without_a_turn_is_told_the_others(machines: Machines) -> None:
    one, two = machines.one_more(), machines.one_more()
    for _ in range(2_000):
        one.rate.used()
    await machines.go_on(8)
    assert one.rate.allowance.owed == 0
    assert await two.rate.turns(1) == 1
