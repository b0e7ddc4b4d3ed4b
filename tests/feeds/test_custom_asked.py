"""Who may learn from a filter with words that a release was withdrawn: whoever asked before, and nobody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from feeds.custom_asked import AGAIN, AskedFilters
from feeds.custom_library import StoreLibrary
from syndicator.domain.filters import canonical, parse
from syndicator.store import asked, migrate, releases
from syndicator.store.database import Database, engine_for
from syndicator.store.tables import ASKED_FILTER
from tests.feeds.customs import customs_on, record
from tests.hub.test_migration import to_first

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


async def states(library, query, now):
    window = await library.window(parse(query), 50, now)
    return [release.state.value for release, _ in window.held]


async def written(noted):
    [job] = await noted.pending(NOW)
    await noted.handlers()[job.name](job, None)
    assert await noted.pending(NOW) == []


async def test_only_a_filter_that_was_asked_before_shows_the_withdrawal_and_a_restart_keeps_that(
    database, site, taxonomy
):
    async with database.writing() as session:
        made = await record(session, site, "a", now=NOW - HOUR, langs=("en",), text="The zebra crossing")
    noted = AskedFilters(database)
    library = StoreLibrary(database, taxonomy, noted)
    assert await states(library, "lang=en&q=zebra", NOW) == ["public"]
    async with database.writing() as session:
        await releases.withdraw(session, made.number, "It was wrong.", NOW + SECOND)
    assert await states(library, "lang=en&q=zebra", NOW + HOUR) == ["withdrawn"]  # before anything is written
    await written(noted)
    again = StoreLibrary(database, taxonomy, AskedFilters(database))
    assert await states(again, "lang=en&q=zebra", NOW + HOUR) == ["withdrawn"]
    for end in range(1, 6):
        for _ in range(2):  # asking again does not help
            assert await states(again, f"lang=en&q={'zebra'[:end]}", NOW + HOUR) == ([] if end < 5 else ["withdrawn"])
    assert await states(again, "lang=en&kind=news", NOW + HOUR) == ["withdrawn"]  # topics and kinds are no secret


async def test_a_text_written_after_the_withdrawal_neither_shows_nor_hides_it(sqlite_database, site, taxonomy):
    async with sqlite_database.writing() as session:
        made = await record(session, site, "a", now=NOW - HOUR, langs=("en",), text="The zebra crossing")
    library = StoreLibrary(sqlite_database, taxonomy, AskedFilters(sqlite_database))
    for query in ("lang=en&q=zebra", "lang=en&q=giraffe"):
        await states(library, query, NOW)
    async with sqlite_database.writing() as session:
        await releases.withdraw(session, made.number, "It was wrong.", NOW + SECOND)
        await record(session, site, "a", now=NOW + 2 * SECOND, langs=("en",), text="A giraffe", public_at=NOW - HOUR)
    assert await states(library, "lang=en&q=zebra", NOW + HOUR) == ["withdrawn"]
    assert await states(library, "lang=en&q=giraffe", NOW + HOUR) == []


async def test_no_prefix_of_a_withdrawn_word_is_felt_in_any_format(sqlite_database, site, taxonomy, texts):
    customs = customs_on(sqlite_database, site, taxonomy, texts)
    async with sqlite_database.writing() as session:
        made = await record(session, site, "a", now=NOW - HOUR, langs=("en",), text="The zebra crossing")
        await releases.withdraw(session, made.number, "It was wrong.", NOW)
    for fmt in ("rss", "atom", "json"):
        for end in range(1, 6):
            body = (await customs.find(parse(f"lang=en&q={'zebra'[:end]}"), fmt, NOW + HOUR)).body
            assert b"wrong" not in body, (fmt, end)
            assert f"/en/releases/{made.number}".encode() not in body, (fmt, end)
    assert not json.loads(body)["items"]


async def test_a_lease_of_its_feed_counts_as_asking(database, taxonomy, site):
    query = canonical(parse("lang=en&q=zebra"))
    async with database.writing() as session:
        await session.execute(
            text(
                "INSERT INTO subscriber (channel, address, role, resolved, language, timezone, other_language, state,"
                " state_reason, created_at) VALUES ('websub', 'x', 'person', '', 'en', 'Asia/Baku', 'urgent', 'active',"
                " '', '2026-11-01 09:00:00')"
            )
        )
        await session.execute(
            text(
                "INSERT INTO hub_lease (subscriber_id, topic, callback, host, until, created_at)"
                " VALUES (1, :topic, 'https://a.example/', 'a.example', '2026-12-01 09:00:00', '2026-11-02 09:00:00')"
            ),
            {"topic": f"custom.atom?{query}"},
        )
    async with database.reading() as session:
        found = await asked.asked(session, query)
        assert (found.since.date().isoformat(), found.noted) == ("2026-11-02", None)
        assert await asked.asked(session, query + "x") == asked.Asked(None, None)


async def test_what_is_remembered_is_bounded_and_the_longest_unasked_go_first(database, taxonomy):
    noted = AskedFilters(database, most=3)
    async with database.reading() as session:
        for number in range(5):
            await noted.since(session, f"q={number}", NOW + number * SECOND)
    await written(noted)
    async with database.reading() as session:
        assert sorted(await session.scalars(select(ASKED_FILTER.c.canonical))) == ["q=2", "q=3", "q=4"]


async def test_when_it_was_last_asked_is_written_once_a_day_and_the_first_time_stays(sqlite_database):
    noted = AskedFilters(sqlite_database)
    for when, waits in ((NOW, 1), (NOW + HOUR, 0), (NOW + AGAIN, 1)):
        async with sqlite_database.reading() as session:
            await noted.since(session, "q=a", when)
        assert len(await noted.pending(when)) == waits
        if waits:
            await written(noted)
    async with sqlite_database.reading() as session:
        assert (await asked.asked(session, "q=a")) == asked.Asked(NOW, NOW + AGAIN)


async def test_old_withdrawals_take_up_nobodys_room(sqlite_database, site, taxonomy):
    async with sqlite_database.writing() as session:
        await record(session, site, "right", now=NOW - timedelta(days=400), langs=("en",))
        for number in range(9):
            made = await record(session, site, f"w{number}", now=NOW - timedelta(days=200), langs=("en",))
            await releases.withdraw(session, made.number, "x", NOW - timedelta(days=91))
    library = StoreLibrary(sqlite_database, taxonomy, AskedFilters(sqlite_database))
    for query in ("lang=en", "lang=en&q=soz"):
        window = await library.window(parse(query), 1, NOW)
        assert [release.key for release, _ in window.held] == ["right"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_table_comes_to_a_database_in_use(kind, tmp_path, postgresql):
    url = f"sqlite:///{tmp_path}/x.db" if kind == "sqlite" else postgresql.fresh()
    engine = engine_for(url, "create")
    async with engine.begin() as connection:
        if kind == "postgresql":
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
        await connection.run_sync(to_first)
        await connection.execute(text("INSERT INTO meta (name, value) VALUES ('kept', 'as it was')"))
    await engine.dispose()
    await migrate.upgrade(url)
    database = Database(url)
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ASKED_FILTER)) == 0
        assert await session.scalar(text("SELECT value FROM meta WHERE name = 'kept'")) == "as it was"
    await database.close()
    if kind == "postgresql":
        postgresql.drop(url)
