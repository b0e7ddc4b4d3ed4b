"""Who shares a limit with whom."""

from __future__ import annotations

from datetime import datetime, timedelta

from syndicator.store import presence, rates
from syndicator.store.database import Database

SPAN = timedelta(seconds=10)


async def stay(database: Database, who: str, now: datetime | None, kind: str = "mail") -> list[str]:
    async with database.writing() as session:
        return list(await presence.stay(session, kind, who, SPAN, now))


async def test_all_who_are_here_know_each_other_in_one_order(database: Database, now: datetime) -> None:
    assert await stay(database, "b", now) == ["b"]
    assert await stay(database, "a", now) == ["a", "b"]
    assert await stay(database, "c", now, kind="other_") == ["c"]
    assert await stay(database, "b", now + timedelta(seconds=5)) == ["a", "b"]


async def test_who_says_nothing_for_a_while_or_leaves_counts_no_more(database: Database, now: datetime) -> None:
    for who in ("a", "b", "c"):
        await stay(database, who, now)
    async with database.writing() as session:
        await presence.leave(session, "mail", "c")
    assert await stay(database, "b", now + timedelta(seconds=9)) == ["a", "b"]
    assert await stay(database, "b", now + timedelta(seconds=11)) == ["b"]
    async with database.writing() as session:
        assert await rates.forget(session, now + timedelta(hours=2)) == 2


async def test_on_postgresql_the_databases_clock_counts(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    assert await stay(database, "a", None) == ["a"]
    assert await stay(database, "b", None) == ["a", "b"]
    await database.close()
