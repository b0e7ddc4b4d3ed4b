"""The queue's tables: made once, brought up to the library's version, and nothing taken from who still runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from syndicator.engine import schema
from syndicator.engine.line import QueueTrouble

LAST = max(schema._names())
OLD = "03.03.00_01_pre_priority_lock_fetch_job.sql"
AWAY = """DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'procrastinate%' LOOP
        EXECUTE 'DROP FUNCTION ' || name || ' CASCADE';
    END LOOP;
    DROP TABLE IF EXISTS procrastinate_jobs, procrastinate_workers, procrastinate_events,
        procrastinate_periodic_defers CASCADE;
    FOR name IN SELECT oid::regtype FROM pg_type WHERE typname LIKE 'procrastinate%' AND typtype IN ('e', 'c') LOOP
        EXECUTE 'DROP TYPE ' || name || ' CASCADE';
    END LOOP;
END $$"""


def ask(url: str, *queries: str) -> Any:
    """The answer to the last one."""
    with psycopg.connect(url, autocommit=True) as line:
        for query in queries:
            answer = line.execute(query)
        return (answer.fetchone() or [None])[0] if answer.description else None


@pytest.fixture
def bare_url(postgresql_url: str) -> Iterator[str]:
    """A database without a queue; nobody uses it afterwards."""
    ask(postgresql_url, AWAY)
    yield postgresql_url
    ask(postgresql_url, "DELETE FROM alembic_version")


@pytest.fixture
def older_url(bare_url: str) -> str:
    """One whose tables an older version of the library has made."""
    with psycopg.connect(bare_url, autocommit=True) as line:
        for name in schema._names():
            if name <= OLD:
                line.execute(schema._sql("migrations", name))
        line.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{OLD}'")
    return bare_url


async def test_programs_that_start_at_once_make_the_tables_once(bare_url: str) -> None:
    assert not await schema.is_there(bare_url)
    await asyncio.gather(*(schema.upgrade(bare_url) for _ in range(3)))
    assert await schema.is_there(bare_url)
    assert ask(bare_url, schema.MARK) == LAST


async def test_a_start_waits_for_nobody_who_writes_jobs_where_all_is_there(queue_url: str) -> None:
    with psycopg.connect(queue_url) as writer:
        writer.execute("LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE")
        async with asyncio.timeout(2):
            await schema.upgrade(queue_url)


async def test_what_is_missing_waits_for_who_writes_a_little_at_a_time(
    queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "WAIT", "SET LOCAL lock_timeout = '50ms'")
    monkeypatch.setattr(schema, "PAUSE", 0.3)
    ask(queue_url, "DROP INDEX syndicator_jobs_lock")
    with psycopg.connect(queue_url) as writer:
        writer.execute("LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE")
        making = asyncio.create_task(schema.upgrade(queue_url))
        await asyncio.sleep(0.2)
        ask(queue_url, "SET lock_timeout = '1s'", "DELETE FROM procrastinate_jobs")  # others write meanwhile
    await making
    assert ask(queue_url, schema.INDEXED)


async def test_tables_that_stay_in_use_are_said_to_be_in_one_line(
    queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "WAIT", "SET LOCAL lock_timeout = '20ms'")
    monkeypatch.setattr(schema, "PAUSE", 0.0)
    ask(queue_url, "DROP INDEX syndicator_jobs_lock")
    with psycopg.connect(queue_url) as writer:
        writer.execute("LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE")
        with pytest.raises(QueueTrouble, match=r"^queue: its tables cannot be made: [^\n]*lock timeout$"):
            await schema.upgrade(queue_url)
    await schema.upgrade(queue_url)


async def test_an_older_library_s_tables_get_what_came_since(older_url: str) -> None:
    assert not await schema.is_there(older_url)
    await schema.upgrade(older_url)
    assert ask(older_url, "SELECT to_regproc('procrastinate_retry_job_v2') IS NOT NULL")
    assert ask(older_url, schema.MARK) == LAST


async def test_what_older_programs_call_is_taken_away_only_when_none_is_at_work(older_url: str) -> None:
    number = ask(older_url, "SELECT procrastinate_register_worker_v1()")
    await schema.upgrade(older_url)
    assert "_pre_" in ask(older_url, schema.MARK)
    assert await schema.is_there(older_url), "whoever is new can run beside it"
    ask(older_url, f"SELECT procrastinate_unregister_worker_v1({number})")
    await schema.upgrade(older_url)
    assert ask(older_url, schema.MARK) == LAST


async def test_tables_that_were_made_by_hand_are_taken_as_they_are(bare_url: str) -> None:
    ask(bare_url, schema._sql("schema.sql"))
    await schema.upgrade(bare_url)
    assert ask(bare_url, schema.MARK) == LAST


async def test_tables_of_an_unknown_version_are_refused_in_one_line(older_url: str) -> None:
    ask(older_url, "COMMENT ON TABLE procrastinate_jobs IS NULL", "DROP FUNCTION procrastinate_fetch_job_v2")
    with pytest.raises(QueueTrouble, match=r"^queue: its tables are of a version that is not known[^\n]*$"):
        await schema.upgrade(older_url)
