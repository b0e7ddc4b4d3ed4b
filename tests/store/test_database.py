"""One way to read, one way to write, and a database that cannot be opened says so."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import pytest
from psycopg.pq import PipelineStatus, TransactionStatus
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from syndicator.engine.rhythm import Rhythm
from syndicator.store.database import Database, DatabaseTrouble, MissingDatabase, engine_for
from syndicator.store.doubts import Doubt, mark, was_committed
from tests import quick

PUT = text("INSERT INTO meta (name, value) VALUES (:name, :value)")
PUT_TOO = text("INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
NAMES = text("SELECT name FROM meta WHERE name <> 'beside' ORDER BY name")  # that one the schema has


async def names(database: Database) -> list[str]:
    async with database.reading() as session:
        return list((await session.execute(NAMES)).scalars())


async def test_what_is_written_is_there_after_the_block(database):
    async with database.writing() as session:
        await session.execute(PUT, {"name": "a", "value": "1"})
    assert await names(database) == ["a"]


async def test_two_transactions_that_wait_for_each_other_are_both_done_in_the_end(database):
    both = asyncio.Event()
    began = []

    def put(first, second):
        async def work(session):
            await session.execute(PUT_TOO, {"name": first, "value": "1"})
            began.append(first)
            if {"a", "b"} <= set(began) or session.get_bind().dialect.name == "sqlite":  # that has one writer
                both.set()
            await both.wait()
            await session.execute(PUT_TOO, {"name": second, "value": "1"})
            return first

        return database.again(work)

    assert await asyncio.gather(put("a", "b"), put("b", "a")) == ["a", "b"]
    assert await names(database) == ["a", "b"]
    assert len(began) > 2 or database.url.startswith("sqlite")


async def test_an_exception_takes_everything_back(database):
    async def fail() -> None:
        async with database.writing() as session:
            await session.execute(PUT, {"name": "a", "value": "1"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await names(database) == []


async def test_a_reader_cannot_write(database):
    with pytest.raises((DBAPIError, DatabaseTrouble), match=r"(?i)read-?only"):
        async with database.reading() as session:
            await session.execute(PUT, {"name": "a", "value": "1"})


async def test_a_reader_keeps_its_snapshot_while_others_write(database):
    async with database.reading() as reader:
        assert (await reader.execute(NAMES)).all() == []
        async with database.writing() as writer:
            await writer.execute(PUT, {"name": "a", "value": "1"})
        assert (await reader.execute(NAMES)).all() == []
    assert await names(database) == ["a"]


async def test_writers_of_one_process_take_turns(database):
    async def add(number: int) -> None:
        async with database.writing() as session:
            await session.execute(PUT, {"name": f"{number:02}", "value": ""})

    await asyncio.gather(*(add(number) for number in range(20)))
    assert len(await names(database)) == 20


async def test_the_data_version_moves_when_anybody_commits(database_url):
    ours, other = Database(database_url), Database(database_url)
    before = await ours.data_version()
    assert await ours.data_version() == before
    async with other.writing() as session:
        await session.execute(PUT, {"name": "a", "value": "1"})
    after = await ours.data_version()
    assert after != before
    assert await ours.data_version() == after
    await ours.close()
    await ours.close()
    await other.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///{folder}/missing.db", r"missing\.db: the database cannot be opened: unable to open"),
        ("postgresql://u:hush@127.0.0.1:1/x", r"u:\*\*\*@127.0.0.1:1/x: the database cannot be opened: .*refused"),
    ],
)
async def test_one_that_cannot_be_opened_says_so_in_one_line_without_the_password(tmp_path: Path, url, says):
    database = Database(url.format(folder=tmp_path))
    with pytest.raises(MissingDatabase, match=says) as caught:
        async with database.reading():
            pass
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)
    await database.close()


def test_postgresql_without_its_driver_names_the_extra(monkeypatch):
    monkeypatch.setattr("syndicator.store.engines.find_spec", lambda name: None)
    with pytest.raises(MissingDatabase, match=r"install the extra `cluster`"):
        engine_for("postgresql://localhost/x", "read")


async def test_sqlite_survives_power_cuts_and_keeps_foreign_keys(sqlite_url, monkeypatch):
    monkeypatch.setattr("syndicator.store.engines.PRAGMAS", quick.PRAGMAS)
    database = Database(sqlite_url)
    async with database.writing() as session:
        found = [
            (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await database.close()
    assert found == ["wal", 2, 1, 10_000]


ADDRESS = "who@example.org"


async def test_a_refused_insert_does_not_say_what_was_to_be_written(database):
    put = text(
        "INSERT INTO subscriber"
        " (channel, address, role, resolved, language, timezone, other_language, state, created_at)"
        " VALUES ('email', :address, 'person', '', 'az', 'Asia/Baku', 'urgent', 'active', '2026-11-21')"
    )

    async def twice() -> None:
        async with database.writing() as session:
            await session.execute(put, {"address": ADDRESS})
            await session.execute(put, {"address": ADDRESS})

    with pytest.raises(DBAPIError) as caught:
        await twice()
    assert "subscriber" in str(caught.value)
    assert ADDRESS not in "".join(traceback.format_exception(caught.value))


async def test_a_locked_file_is_told_in_one_line(sqlite_url, monkeypatch):
    monkeypatch.setattr("syndicator.store.engines.PRAGMAS", ("PRAGMA busy_timeout=1",))
    ours, other = Database(sqlite_url), Database(sqlite_url)
    async with other.writing():
        with pytest.raises(DatabaseTrouble, match=r"syndicator\.db: database is locked$"):
            async with ours.writing():
                pass
    await ours.close()
    await other.close()


async def test_a_lost_server_and_a_slow_statement_are_told_in_one_line(postgresql_url, monkeypatch):
    monkeypatch.setattr("syndicator.store.engines.STATEMENT_SECONDS", {"read": 1, "write": 60})
    database = Database(postgresql_url)
    with pytest.raises(DatabaseTrouble, match=r"canceling statement due to statement timeout$"):
        async with database.reading() as session:
            await session.execute(text("SELECT pg_sleep(30)"))

    async def cut() -> None:
        async with database.writing() as session, database.reading() as other:
            mine = await session.scalar(text("SELECT pg_backend_pid()"))
            await other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": mine})
            await session.execute(PUT, {"name": "a", "value": ADDRESS})

    with pytest.raises(DatabaseTrouble, match="terminating connection") as caught:
        await cut()
    assert "\n" not in str(caught.value)
    assert ADDRESS not in str(caught.value)
    assert await names(database) == [], "and the next session has a connection that works"
    await database.close()


@pytest.fixture
async def office(postgresql_url):
    opened = Database(postgresql_url)
    yield opened
    await opened.close()


async def test_a_server_that_does_not_write_any_more_is_left_and_told_in_one_line(office):
    async with office.writing() as session:  # as a primary that was made a standby
        await session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
    with pytest.raises(DatabaseTrouble, match=r"read-only transaction$"):
        async with office.writing() as session:
            await session.execute(PUT, {"name": "a", "value": "1"})
    async with office.writing() as session:
        await session.execute(PUT, {"name": "b", "value": "1"})
    assert await names(office) == ["b"]


@pytest.mark.parametrize("use", ["reading", "writing"])
async def test_a_session_that_the_server_has_ended_in_a_pause_is_told_in_one_line(office, use):
    async def pause():
        async with getattr(office, use)() as session:
            await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
            await asyncio.sleep(0.3)
            await session.execute(NAMES)

    with pytest.raises(DatabaseTrouble, match=r"idle-in-transaction timeout$"):
        await pause()
    assert await names(office) == []


async def test_what_a_frozen_writer_has_locked_is_free_before_its_work_is_given_to_others(office):
    async with office.writing() as session:
        asked = "SELECT extract(epoch FROM current_setting('idle_in_transaction_session_timeout')::interval)"
        assert 0 < (await session.scalar(text(asked)) or 0) < Rhythm().dead


async def test_a_writer_of_many_rows_can_be_frozen_only_where_the_servers_patience_with_it_counts(office):
    async with office.writing() as session:
        await session.execute(PUT, [{"name": name, "value": "1"} for name in "abc"])
        line = (await (await session.connection()).get_raw_connection()).driver_connection
        between = []

        def rows():
            for name in "abc":
                between.append((line.pgconn.pipeline_status, line.pgconn.transaction_status))
                yield (name,)

        cursor = line.cursor()
        await cursor.executemany("UPDATE meta SET value = '2' WHERE name = %s", rows())
        assert cursor.rowcount == 3
        assert set(between) == {(PipelineStatus.OFF, TransactionStatus.INTRANS)}
        assert (
            await session.execute(
                text("UPDATE meta SET value = '3' WHERE name = :name"), [{"name": "a"}, {"name": "x"}]
            )
        ).rowcount == 1


async def test_a_transaction_that_the_server_has_not_come_to_yet_was_not_committed(office):
    async with office.writing() as session:  # the one that had it was replaced by a standby without it
        known = await mark(session)
    async with office.writing() as session:
        assert await was_committed(session, known)
        assert not await was_committed(session, Doubt("999999999", 1))
        await session.execute(PUT, {"name": "a", "value": "1"})
    assert await names(office) == ["a"]
