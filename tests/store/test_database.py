"""One way to read, one way to write, and a database that cannot be opened says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from syndicator.store.database import Database, MissingDatabase, engine_for

PUT = text("INSERT INTO meta (name, value) VALUES (:name, :value)")
NAMES = text("SELECT name FROM meta ORDER BY name")


async def names(database: Database) -> list[str]:
    async with database.reading() as session:
        return list((await session.execute(NAMES)).scalars())


async def test_what_is_written_is_there_after_the_block(database):
    async with database.writing() as session:
        await session.execute(PUT, {"name": "a", "value": "1"})
    assert await names(database) == ["a"]


async def test_an_exception_takes_everything_back(database):
    async def fail() -> None:
        async with database.writing() as session:
            await session.execute(PUT, {"name": "a", "value": "1"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await names(database) == []


async def test_a_reader_cannot_write(database):
    with pytest.raises(DBAPIError, match=r"(?i)read-?only"):
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
    monkeypatch.setattr("syndicator.store.database.find_spec", lambda name: None)
    with pytest.raises(MissingDatabase, match=r"install the extra `cluster`"):
        engine_for("postgresql://localhost/x", "read")


async def test_sqlite_survives_power_cuts_and_keeps_foreign_keys(sqlite_database):
    async with sqlite_database.writing() as session:
        found = [
            (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 10_000]
