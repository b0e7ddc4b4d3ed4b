"""What pace must not forget outlives the process, and much that comes back is an alarm."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, text
from structlog.testing import capture_logs

from bots.email.pace.alarm import Alarms
from bots.email.pace.heard import Heard
from bots.email.pace.keeper import Keeper
from bots.email.pace.limits import Limits, WarmUpPlan
from bots.email.pace.pace import Pace
from syndicator.domain.bounces import BounceKind
from syndicator.metrics import Metrics
from syndicator.store import mail_days, pauses
from syndicator.store.tables import BOUNCE, DELIVERY, MESSAGE, SUBSCRIBER

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
LIMITS = Limits(per_second=1_000, warm_up=WarmUpPlan(TODAY, 100, ZoneInfo("Asia/Baku")))


def keeper_of(pace, database, metrics=None):
    return Keeper(pace, database, clock=lambda: NOW, metrics=metrics or Metrics())


def send(pace, number):
    """Bulk to one domain; how many went."""
    went = 0
    for _ in range(number):
        if pace.admit("example.org", NOW) is None:
            pace.done("example.org", Heard.TAKEN, NOW)
            went += 1
    return went


async def test_a_restart_goes_on_with_the_days_count_and_the_pauses(database):
    pace = Pace(LIMITS)
    keeper = keeper_of(pace, database)
    await keeper.start()
    assert send(pace, 60) == 60
    pace.admit("busy.example", NOW, urgent=True)
    pace.done("busy.example", Heard.SLOW_DOWN, NOW, wait=timedelta(hours=1))
    pace.relay_paused(NOW + timedelta(minutes=10), NOW, "the relay asked for it")
    await keeper.stop()
    again = Pace(LIMITS)
    keeper = keeper_of(again, database)
    await keeper.start()
    await keeper.stop()
    assert again.ready_at(NOW) == NOW + timedelta(minutes=10)
    again.relay_answers()
    assert again.admit("busy.example", NOW, urgent=True) >= NOW + timedelta(hours=1)
    assert send(again, 60) == 40


async def test_a_pause_that_an_operator_lifts_ends_in_the_running_service_and_the_next(database):
    now = NOW
    pace = Pace(LIMITS)
    keeper = Keeper(pace, database, clock=lambda: now, metrics=Metrics())
    for domain in ("busy.example", "other.example"):
        pace.admit(domain, now, urgent=True)
        pace.done(domain, Heard.SLOW_DOWN, now, wait=timedelta(hours=20))
    await keeper.keep(now)
    async with database.writing() as session:
        await pauses.pause(session, "chat:4", NOW + timedelta(hours=1), "not of mail")
        lifted = await pauses.lift_mail(session, now, "busy.example")
    assert [scope for scope, _, _ in lifted] == ["mail:busy.example"]
    now += timedelta(seconds=6)
    await keeper.keep(now)
    assert pace.admit("busy.example", now, urgent=True) is None
    assert pace.admit("busy.example", now, urgent=True) is not None  # one goes first
    assert pace.admit("other.example", now, urgent=True) is not None
    again = Pace(LIMITS)
    await keeper_of(again, database).restore(now)
    assert again.admit("busy.example", now, urgent=True) is None
    assert again.admit("other.example", now, urgent=True) is not None
    async with database.reading() as session:
        assert {scope for scope, _, _ in await pauses.all(session)} == {"chat:4", "mail:other.example"}


async def test_what_is_being_written_when_it_stops_is_counted_once(sqlite_database, monkeypatch):
    monkeypatch.setattr("bots.email.pace.keeper.TICK", 0.001)
    committed, goes_on = asyncio.Event(), asyncio.Event()
    usual = sqlite_database.writing

    @asynccontextmanager
    async def writing():
        async with usual() as session:
            yield session
        committed.set()
        await goes_on.wait()

    monkeypatch.setattr(sqlite_database, "writing", writing)
    pace = Pace(LIMITS)
    keeper = keeper_of(pace, sqlite_database)
    await keeper.start()
    send(pace, 5)
    await committed.wait()
    stopping = asyncio.create_task(keeper.stop())
    await asyncio.sleep(0)
    goes_on.set()
    await stopping
    async with sqlite_database.reading() as session:
        assert await mail_days.taken(session, TODAY) == {TODAY: 5}


async def test_a_crash_that_wrote_no_count_finds_it_in_the_ledger(database):
    async with database.writing() as session:
        person = {
            "channel": "email",
            "address": "a@example.org",
            "language": "en",
            "timezone": "UTC",
            "created_at": NOW,
        }
        message = {"key": "release:1:0", "kind": "release", "major": 0, "priority": 20, "created_at": NOW}
        who = await session.scalar(insert(SUBSCRIBER).values(person | {"state": "active"}).returning(SUBSCRIBER.c.id))
        for number in range(30):
            about = message | {"key": f"release:{number}:0"}
            made = await session.scalar(insert(MESSAGE).values(about).returning(MESSAGE.c.id))
            row = {"message_id": made, "subscriber_id": who, "state": "sent", "due_at": NOW, "settled_at": NOW}
            await session.execute(
                insert(DELIVERY).values(row | {"answer": {}, "lang": "en", "reason": "", "attempts": 1})
            )
    pace = Pace(LIMITS)
    await keeper_of(pace, database).restore(NOW)
    assert send(pace, 100) == 70


async def test_two_processes_keep_one_cap(database):
    one, other = Pace(LIMITS), Pace(LIMITS)
    first, second = keeper_of(one, database), keeper_of(other, database)
    assert send(one, 70) == 70
    await first.keep(NOW)
    await second.keep(NOW)
    assert send(other, 70) == 30


async def test_nothing_is_asked_of_the_database_where_nothing_is_new(sqlite_database):
    pace = Pace(LIMITS)
    keeper = keeper_of(pace, sqlite_database)
    send(pace, 5)
    await keeper.keep(NOW)
    async with sqlite_database.reading() as session:
        assert await mail_days.taken(session, TODAY) == {TODAY: 5}
    await sqlite_database.close()
    await keeper.keep(NOW)


async def test_what_cannot_be_written_now_is_written_later(sqlite_database):
    database = sqlite_database
    pace = Pace(LIMITS)
    keeper = keeper_of(pace, database)
    send(pace, 5)
    async with database.writing() as session:
        await session.execute(text("ALTER TABLE mail_day RENAME TO gone"))
    await keeper.keep(NOW)
    async with database.writing() as session:
        await session.execute(text("ALTER TABLE gone RENAME TO mail_day"))
    send(pace, 2)
    await keeper.keep(NOW)
    async with database.reading() as session:
        assert await mail_days.taken(session, TODAY) == {TODAY: 7}


@pytest.mark.parametrize(
    ("sent", "hard", "complaints", "told"),
    [
        (1_000, 20, 3, []),
        (1_000, 21, 0, [BounceKind.HARD]),
        (1_000, 0, 4, [BounceKind.COMPLAINT]),
        (1_000, 50, 9, [BounceKind.HARD, BounceKind.COMPLAINT]),
        (199, 100, 100, []),  # few mails say nothing
        (600, 2, 2, []),  # nor do two people
        (0, 300, 0, [BounceKind.HARD]),  # all of them came back
    ],
)
def test_much_that_comes_back_is_told(sent, hard, complaints, told):
    back = {BounceKind.HARD: hard, BounceKind.COMPLAINT: complaints, BounceKind.SOFT: 900, BounceKind.POLICY: 900}
    alarms = Alarms()
    assert [one.kind for one in alarms.look(sent, back, NOW)] == told
    assert alarms.look(sent, back, NOW + timedelta(hours=1)) == []
    assert [one.kind for one in alarms.look(sent, back, NOW + timedelta(days=1))] == told


async def test_the_shares_are_shown(database):
    metrics = Metrics()
    pace = Pace(Limits(per_second=1_000))
    send(pace, 1_000)
    keeper = keeper_of(pace, database, metrics)
    async with database.writing() as session:
        person = {
            "channel": "email",
            "address": "a@example.org",
            "language": "en",
            "timezone": "UTC",
            "created_at": NOW,
        }
        who = await session.scalar(insert(SUBSCRIBER).values(person | {"state": "active"}).returning(SUBSCRIBER.c.id))
        rows = [{"subscriber_id": who, "kind": "hard", "source": "smtp", "said": "", "at": NOW}] * 30
        await session.execute(insert(BOUNCE), rows)
    await keeper.keep(NOW)
    assert metrics.mail_shares.labels("hard")._value.get() == pytest.approx(0.03)
    assert metrics.mail_domains.labels("slowed")._value.get() == 0


async def test_a_pause_that_is_none_of_mails_is_neither_taken_up_nor_logged(database):
    now = NOW
    async with database.writing() as session:
        for scope in ("chat:123456789", "crowd:@press", "relay"):
            await pauses.pause(session, scope, NOW + timedelta(hours=1), "kept")
    pace = Pace(LIMITS)
    keeper = Keeper(pace, database, clock=lambda: now, metrics=Metrics())
    with capture_logs() as logs:
        await keeper.restore(now)
        now += timedelta(seconds=6)
        await keeper.keep(now)
    assert logs == []
    assert pace.ready_at(now) == NOW + timedelta(hours=1)


async def test_a_database_that_is_away_is_told_once_and_its_return_once(sqlite_database, monkeypatch):
    usual, away = sqlite_database.writing, True

    @asynccontextmanager
    async def writing():
        if away:
            raise OSError("away")
        async with usual() as session:
            yield session

    monkeypatch.setattr(sqlite_database, "writing", writing)
    pace = Pace(LIMITS)
    keeper = keeper_of(pace, sqlite_database)
    with capture_logs() as logs:
        send(pace, 1)
        for _ in range(20):
            await keeper.keep(NOW)
        away = False
        for _ in range(3):
            await keeper.keep(NOW)
    assert [one["log_level"] for one in logs] == ["warning", "info"]
