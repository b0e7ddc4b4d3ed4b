"""Budgets that several processes draw on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from syndicator.store import rates
from syndicator.store.database import Database
from syndicator.store.rates import Budget
from syndicator.store.tables import RATE

SECOND = timedelta(seconds=1)
TEN = Budget("relay", 10, SECOND, 4, 2 * SECOND)  # ten a second, four at once
HAIR = timedelta(milliseconds=2)  # what a database rounds


async def take(database: Database, budget: Budget, turns: int, now: datetime | None) -> timedelta | None:
    async with database.writing() as session:
        return await rates.reserve(session, budget, turns, now)


async def test_after_a_rest_a_burst_goes_at_once_and_then_each_at_its_time(database: Database, now: datetime) -> None:
    waits = [await take(database, TEN, 1, now) for _ in range(6)]
    assert [round(one.total_seconds(), 2) for one in waits if one is not None] == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2]


async def test_turns_taken_together_are_as_many_taken_one_by_one(database: Database, now: datetime) -> None:
    assert await take(database, TEN, 7, now) == timedelta(seconds=-0.3)
    after = await take(database, TEN, 1, now)
    assert after is not None
    assert abs(after - timedelta(seconds=0.4)) < HAIR


async def test_who_would_wait_too_long_takes_nothing(database: Database, now: datetime) -> None:
    assert await take(database, TEN, 15, now) is not None
    assert await take(database, TEN, 6, now) is None, "1.5 seconds are taken, and 2 are given out"
    assert await take(database, TEN, 5, now) is not None
    assert await take(database, TEN, 1, now + 0.05 * SECOND) is None
    assert await take(database, TEN, 1, now + 0.2 * SECOND) is not None


async def test_a_limit_says_when_to_come_again_and_a_refused_turn_is_not_counted(
    database: Database, now: datetime
) -> None:
    limit = Budget.at_once("visitor", 3, timedelta(minutes=3))
    assert [await take(database, limit, 1, now) is not None for _ in range(5)] == [True, True, True, False, False]
    async with database.reading() as session:
        assert await rates.wait(session, limit, now) == timedelta(minutes=1)
        assert await rates.wait(session, Budget.at_once("other", 3, SECOND), now) <= timedelta()
    assert await take(database, limit, 1, now + timedelta(minutes=1)) is not None


async def test_a_clock_that_was_ahead_and_comes_back_locks_nobody_out(database: Database, now: datetime) -> None:
    await take(database, TEN, 5, now + timedelta(hours=1))
    assert await take(database, TEN, 5, now) == timedelta(seconds=-0.3)
    assert await take(database, TEN, 15, now) is not None
    assert await take(database, TEN, 1, now) is None, "and from then on it is a budget as before"


async def test_clocks_of_processes_do_not_matter_on_postgresql(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    first = await take(database, TEN, 4, None)
    async with database.writing() as session:
        await session.execute(update(RATE).values(turn_at=datetime.now(UTC) + timedelta(hours=1)))
    again = await take(database, TEN, 4, None)
    await database.close()
    for found in (first, again):
        assert found is not None
        assert abs(found - timedelta(seconds=-0.3)) < HAIR


async def test_many_at_once_get_no_more_than_there_is(postgresql_url: str) -> None:
    databases = [Database(postgresql_url) for _ in range(3)]
    budget = Budget("relay", 1, timedelta(hours=1), 30, timedelta(hours=30))
    taken = await asyncio.gather(*(take(databases[place % 3], budget, 1, None) for place in range(40)))
    await asyncio.gather(*(one.close() for one in databases))
    assert sum(one is not None for one in taken) == 30


async def test_what_has_passed_is_forgotten_and_what_holds_is_not(database: Database, now: datetime) -> None:
    await take(database, Budget("old", 1, SECOND, 1, SECOND), 1, now - timedelta(hours=2))
    await take(database, Budget("new", 1, SECOND, 1, SECOND), 1, now)
    async with database.writing() as session:
        assert await rates.forget(session, now) == 1
        assert await rates.wait(session, Budget("new", 1, SECOND, 1, SECOND), now) > timedelta()


@pytest.mark.parametrize(
    ("turns", "span", "burst", "longest"), [(0, SECOND, 1, SECOND), (1, SECOND, 0, SECOND), (1, SECOND, 2, SECOND)]
)
def test_a_budget_that_could_give_nothing_is_refused(
    turns: int, span: timedelta, burst: int, longest: timedelta
) -> None:
    with pytest.raises(ValueError, match="budget relay"):
        Budget("relay", turns, span, burst, longest)


async def test_more_than_it_ever_gives_together_is_refused(sqlite_database: Database, now: datetime) -> None:
    with pytest.raises(ValueError, match="21 turns together"):
        await take(sqlite_database, TEN, 21, now)


Ask = tuple[int, int]  # milliseconds after the one before it, turns


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(st.integers(0, 700), st.integers(1, 8)), min_size=1, max_size=20),
    rate=st.integers(1, 40),
    burst=st.integers(1, 12),
)
async def test_over_any_stretch_never_more_than_its_rate_and_a_burst(
    database: Database, asked: Sequence[Ask], rate: int, burst: int
) -> None:
    """Whoever asks: answers are spans, and the one clock that counts is the database's, here `moment`."""
    budget = Budget("relay", rate, SECOND, burst, max(8, burst, 2 * rate) * SECOND / rate)
    moment, sent = datetime(2026, 11, 21, 9, 0, tzinfo=UTC), list[datetime]()
    async with database.writing() as session:
        await session.execute(delete(RATE))
    for later, turns in asked:
        moment += timedelta(milliseconds=later)
        first = await take(database, budget, turns, moment)
        if first is not None:
            sent += [moment + max(timedelta(), first + budget.every * place) for place in range(turns)]
    sent.sort()
    for place, begins in enumerate(sent):
        for number, ends in enumerate(sent[place:], 1):
            assert number <= burst + (ends - begins + HAIR) / SECOND * rate + 1e-6
