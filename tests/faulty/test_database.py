"""A database that hangs, is cut off or comes back: noticed in ten seconds, told in one line, and the rest goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import text

from syndicator import patience
from syndicator.store import locks
from syndicator.store.database import Database, DatabaseTrouble, MissingDatabase
from syndicator.store.locks import AlreadyRunning, SingleRun
from tests.faulty.proxy import ProxyThread, server_of, through

NOTICED = 10.0  # seconds, at most
ONE = text("SELECT 1")
PUT = text("INSERT INTO meta (name, value) VALUES (:name, '1')")


@pytest.fixture
def quick(monkeypatch):
    """The same in a quarter of the time."""
    for name in ("DOUBT", "ANSWER", "LOOK_AGAIN", "GOODBYE"):
        monkeypatch.setattr(patience, name, getattr(patience, name) / 4)
    monkeypatch.setattr("syndicator.store.engines.CONNECT", {"connect_timeout": 2})


@asynccontextmanager
async def alive():
    """Meanwhile the loop is never kept from its work for long."""
    longest, over = 0.0, False

    async def beat():
        nonlocal longest
        while not over:
            begun = time.monotonic()
            await asyncio.sleep(0.02)
            longest = max(longest, time.monotonic() - begun)

    beating = asyncio.create_task(beat())
    yield
    over = True
    await beating
    assert longest < 1


async def read(database):
    async with database.reading() as session:
        return await session.scalar(ONE)


async def put(database, name):
    async with database.writing() as session:
        await session.execute(PUT, {"name": name})


async def seconds_of(doing, match):
    begun = time.monotonic()
    with pytest.raises(DatabaseTrouble, match=match) as caught:
        await doing
    assert "\n" not in str(caught.value)
    return time.monotonic() - begun


async def test_a_database_that_hangs_is_noticed_within_ten_seconds_and_used_again_when_it_is_back(line, behind):
    assert await read(behind) == 1
    line.hang()
    async with alive():
        took = await asyncio.gather(
            *(seconds_of(doing, "no answer|timeout") for doing in (read(behind), read(behind), put(behind, "a")))
        )
    assert max(took) < NOTICED
    await line.mend()
    assert await read(behind) == 1
    await put(behind, "b")


async def test_lines_that_stay_dead_for_good_are_replaced_by_new_ones(line, behind, quick):
    await asyncio.gather(*(read(behind) for _ in range(4)))
    line.hang(for_good=True)
    await line.mend()
    async with alive():
        begun = time.monotonic()
        assert await asyncio.gather(*(read(behind) for _ in range(4))) == [1] * 4
        assert time.monotonic() - begun < NOTICED / 4


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_line_that_carries_one_way_only_is_given_up(line, behind, quick, way):
    async def running():
        async with behind.reading() as session:
            assert await session.scalar(ONE) == 1
            line.one_way(way)
            await session.scalar(ONE)

    async with alive():
        assert await seconds_of(running(), "no answer$") < NOTICED / 4
    await line.mend()
    assert await read(behind) == 1


async def test_a_statement_that_takes_its_time_is_left_alone(line, behind, quick):
    async with behind.reading() as session:
        assert await session.scalar(text("SELECT 7 FROM pg_sleep(2)")) == 7
    assert line.opened > 1, "somebody has asked"


async def test_a_server_whose_connections_are_all_taken_is_not_one_that_hangs(line, postgresql_url, quick):
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
        url = through(postgresql_url, line.port).replace("postgres@", "crowded@")
        crowded = Database(url)
        async with crowded.reading() as session:
            assert await session.scalar(text("SELECT 7 FROM pg_sleep(2)")) == 7
        assert line.opened > 1, "somebody wanted to ask"
        await crowded.close()
        await asyncio.sleep(0.1)
        admin.execute("DROP ROLE crowded")


async def test_a_statement_that_waits_for_a_lock_is_left_alone(line, behind, quick):
    async with behind.writing() as session:
        await session.execute(PUT, {"name": "a"})
        other = asyncio.create_task(put(behind, "a"))
        await asyncio.sleep(1.5)
        assert not other.done()
        await session.rollback()
    await other


async def test_a_large_answer_on_a_slow_line_is_left_alone(line, behind, quick):
    line.delay(0.05)
    async with behind.reading() as session:
        rows = await session.execute(text("SELECT repeat('x', 1000) FROM generate_series(1, 3000)"))
        assert len(rows.all()) == 3000


@pytest.mark.parametrize("fault", ["cut", "half_close", "refuse"])
async def test_a_line_that_is_cut_fails_what_ran_and_nothing_after_it(line, behind, fault):
    async def running():
        async with behind.writing() as session:
            await session.execute(PUT, {"name": "lost"})
            told = getattr(line, fault)()
            if told is not None:
                await told
            await session.execute(PUT, {"name": "lost too"})

    async with alive():
        assert await seconds_of(running(), ".") < 1
    await line.mend()
    async with behind.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM meta")) == 0


async def test_who_is_told_to_stop_while_the_database_hangs_goes_within_three_seconds(line, behind):
    async with behind.reading() as session:
        assert await session.scalar(ONE) == 1
    waiting = asyncio.create_task(_slow(behind))
    await asyncio.sleep(0.3)
    line.hang()
    waiting.cancel()
    begun = time.monotonic()
    async with alive():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert time.monotonic() - begun < 3


async def _slow(database):
    async with database.reading() as session:
        await session.execute(text("SELECT pg_sleep(30)"))


async def test_who_finds_no_free_connection_is_told_in_time(line, behind, monkeypatch):
    monkeypatch.setattr(behind._readers.sync_engine.pool, "_timeout", 0.2)
    blocks = [behind.reading() for _ in range(16)]
    for block in blocks:
        await block.__aenter__()
    await seconds_of(read(behind), "no connection became free in time$")
    for block in blocks:
        await block.__aexit__(None, None, None)
    assert await read(behind) == 1


async def test_the_lock_of_a_process_outlives_a_server_that_is_away_and_a_line_that_is_dead(
    postgresql_url, monkeypatch
):
    monkeypatch.setattr(locks, "PATIENCE", 0.5)
    monkeypatch.setattr(locks, "CONNECT", {"connect_timeout": 2})
    with (
        ProxyThread(server_of(postgresql_url)) as line,
        SingleRun(through(postgresql_url, line.port)) as lock,
    ):
        line.tell("refuse")
        assert await lock.held(), "nobody can have taken it"
        line.tell("mend")
        assert await lock.held()
        line.tell("hang", for_good=True)
        line.tell("mend")
        async with alive():
            assert await lock.held(), "the server thinks that the dead line still has it"
        with pytest.raises(AlreadyRunning):
            SingleRun(postgresql_url).__enter__()


def test_a_process_that_is_told_to_stop_while_the_server_hangs_waits_for_no_lock(postgresql_url):
    with ProxyThread(server_of(postgresql_url)) as line:
        lock = SingleRun(through(postgresql_url, line.port), shared=True)

        async def stopped() -> None:
            with lock:
                line.tell("hang")
                holding = asyncio.create_task(lock.held())
                await asyncio.sleep(0.1)
                holding.cancel()
                await asyncio.gather(holding, return_exceptions=True)

        begun = time.monotonic()
        asyncio.run(stopped())  # it waits for every thread
        assert time.monotonic() - begun < 2


async def test_a_lock_that_is_asked_for_while_the_server_hangs_is_given_up_in_time(line, postgresql_url, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.3)
    connect = psycopg.connect

    def hangs(*given, **more):
        found = connect(*given, **more)
        line.hang()
        return found

    monkeypatch.setattr(psycopg, "connect", hangs)
    lock = SingleRun(through(postgresql_url, line.port))
    with pytest.raises(MissingDatabase, match="cannot be opened"):
        await asyncio.to_thread(lock.__enter__)
