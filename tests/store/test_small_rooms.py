"""What was read of sources, the service's own values, pauses of channels, and the lock of the one process."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from syndicator.domain.model import Problem
from syndicator.pipeline.service import Guard, serve
from syndicator.store import meta, pauses, sourcing
from syndicator.store.database import Database, MissingDatabase
from syndicator.store.locks import AlreadyRunning, SingleRun

HOUR = timedelta(hours=1)


async def test_a_source_is_read_on_from_where_it_was_left(database, now):
    async with database.writing() as session:
        assert await sourcing.cursor(session, "directory") == ""
        await sourcing.advance(session, "directory", "5", now)
        await sourcing.advance(session, "directory", "7", now)
        await sourcing.passed(session, "directory", now + HOUR, "folder is gone")
        assert await sourcing.cursor(session, "directory") == "7"
        assert await sourcing.problems(session) == [Problem("directory", "directory", "folder is gone")]
        await sourcing.passed(session, "directory", now + HOUR)
        assert await sourcing.problems(session) == []


async def test_a_document_is_known_by_its_fingerprint_and_a_bad_one_by_its_reason(database, now):
    bad = Problem("directory", "b.txt", "empty title", "f3")
    async with database.writing() as session:
        await sourcing.remember(session, "directory", "a.az.txt", "a", "az", "f1", now)
        await sourcing.remember(session, "directory", "a.ru.txt", "a", "ru", "f2", now)
        await sourcing.remember_problem(session, bad, now)
        assert await sourcing.known(session, "directory") == {"a.az.txt": "f1", "a.ru.txt": "f2", "b.txt": "f3"}
        assert await sourcing.known(session, "sql") == {}
        assert await sourcing.problems(session) == [bad]
        await sourcing.remember(session, "directory", "b.txt", "b", "az", "f4", now)
        assert await sourcing.problems(session) == []


async def test_ids_are_minted_under_the_first_host_for_ever(database):
    assert await meta.authority(database, "localhost") == "localhost"
    assert await meta.authority(database, "press.example.org") == "localhost"


async def test_the_secret_is_minted_once_also_in_a_race(database):
    minted = await asyncio.gather(*(meta.secret(database) for _ in range(5)))
    assert len(set(minted)) == 1
    assert len(bytes.fromhex(minted[0].decode())) == 32


async def test_a_pause_only_grows(database, now):
    async with database.writing() as session:
        await pauses.pause(session, "bot", now + HOUR, "429")
        await pauses.pause(session, "bot", now, "earlier")
        await pauses.pause(session, "chat:5", now, "429")
        await pauses.pause(session, "crowd:-100", now + HOUR, "7 in the last minute")
        kept = {scope: (until, reason) for scope, until, reason in await pauses.all(session)}
        assert kept == {
            "bot": (now + HOUR, "429"),
            "chat:5": (now, "429"),
            "crowd:-100": (now + HOUR, "7 in the last minute"),
        }
        assert await pauses.live(session, now) == {"bot": 1, "chat": 0}, "what has passed and what is none do not count"


def test_a_second_process_on_the_same_database_is_refused_by_name(database_url):
    with SingleRun(database_url), pytest.raises(AlreadyRunning, match="another syndicator runs") as refused:
        SingleRun(database_url).__enter__()
    assert "\n" not in str(refused.value)
    with SingleRun(database_url):
        pass


def test_a_second_process_is_refused_through_a_link_too(sqlite_url, tmp_path):
    path = sqlite_url.removeprefix("sqlite:///")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    with SingleRun(sqlite_url), pytest.raises(AlreadyRunning):
        SingleRun(f"sqlite:///{link}").__enter__()


END = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")


async def test_a_lock_whose_connection_is_cut_is_taken_again(database, database_url):
    with SingleRun(database_url) as lock:
        assert await lock.held()
        if database_url.startswith("postgresql"):
            async with database.writing() as session:
                await session.execute(END)
            assert await lock.held()
        with pytest.raises(AlreadyRunning):
            SingleRun(database_url).__enter__()


async def test_a_lock_that_waits_for_its_server_says_so_once_and_that_it_was_taken_once(monkeypatch, capsys):
    lock, away = SingleRun("postgresql://press:hidden@127.0.0.1:1/office"), [True] * 3
    lock._session = SimpleNamespace(closed=True)

    def hold():
        if away:
            away.pop()
            raise MissingDatabase("the database cannot be opened")
        lock._session = SimpleNamespace(closed=False, execute=lambda _: None)

    monkeypatch.setattr(lock, "_hold_session", hold)
    for _ in range(6):
        assert await lock.held()
    said = capsys.readouterr().out
    assert said.count("waits for it") == said.count("was taken again") == 1
    assert said.index("waits for it") < said.index("was taken again")
    assert "hidden" not in said


async def test_a_lock_that_another_has_taken_meanwhile_is_lost(postgresql_url):
    database = Database(postgresql_url)
    with SingleRun(postgresql_url) as lock:
        async with database.writing() as session:
            await session.execute(END)
        with SingleRun(postgresql_url):
            assert not await lock.held()
            assert "\n" not in str(lock.lost())
    await database.close()


def test_those_that_share_a_database_and_the_one_that_has_it_alone_refuse_each_other(postgresql_url):
    beside = SingleRun(postgresql_url, shared=True)
    with SingleRun(postgresql_url, shared=True), beside, pytest.raises(AlreadyRunning, match="another syndicator runs"):
        SingleRun(postgresql_url).__enter__()
    with SingleRun(postgresql_url), pytest.raises(AlreadyRunning):
        SingleRun(postgresql_url, shared=True).__enter__()


async def test_a_service_that_has_lost_its_lock_stops_by_itself():
    answers = [True, True, False]
    stop = asyncio.Event()

    async def holds():
        return answers.pop(0)

    guard = Guard(holds, stop, seconds=0)
    async with asyncio.timeout(5):
        await serve([guard], stop)
    assert guard.failed
    assert answers == []


@pytest.mark.parametrize("url", ["sqlite:////proc/nowhere/x.db", "postgresql://u:hush@127.0.0.1:1/x"])
def test_a_lock_that_cannot_be_taken_says_why_without_a_secret(url):
    with pytest.raises(MissingDatabase) as refused:
        SingleRun(url).__enter__()
    assert "hush" not in str(refused.value)
