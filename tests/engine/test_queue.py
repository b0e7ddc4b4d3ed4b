"""Jobs in the queue's tables: one a key, with the transaction that wants it, at its time, each turn once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Priority
from syndicator.domain.ports import Job
from syndicator.engine.cluster import open_post
from syndicator.engine.line import QueueTrouble, connector_for
from syndicator.engine.queue import Queue
from syndicator.store import wanted
from syndicator.store.database import Database, DatabaseTrouble
from tests.engine.floors import NOW, job

DAY = timedelta(days=1)


class Table:
    """The queue and what stands in it."""

    def __init__(self, url: str, line: psycopg.AsyncConnection[Any]) -> None:
        self.url = url
        self.line = line
        self.connector = connector_for(url)
        self.queue = Queue(self.connector, lambda: NOW)

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return await (await self.line.execute(query, values or None)).fetchall()

    async def waiting(self) -> dict[str, tuple[int, float]]:
        """Priority and seconds until its time, by key."""
        found = await self.rows(
            "SELECT queueing_lock, -priority, coalesce(extract(epoch FROM scheduled_at - now()), 0)"
            " FROM procrastinate_jobs WHERE status = 'todo'"
        )
        return {key: (priority, round(float(wait), 0)) for key, priority, wait in found}


@pytest.fixture
async def table(queue_url: str) -> AsyncIterator[Table]:
    async with await psycopg.AsyncConnection.connect(queue_url, autocommit=True) as line:
        made = Table(queue_url, line)
        await made.connector.open_async()
        yield made
        await made.connector.close_async()


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (job("k"), job("k"), (20, 0)),
        (job("k", due=NOW + DAY), job("k"), (20, 0)),
        (job("k"), job("k", due=NOW + DAY), (20, 0)),
        (job("k", due=NOW + 2 * DAY), job("k", due=NOW + DAY), (20, 86400)),
        (job("k", due=NOW + DAY), job("k", due=NOW + 2 * DAY), (20, 86400)),
        (job("k", due=NOW - DAY), job("k", Priority.URGENT), (10, 0)),
        (job("k", Priority.URGENT), job("k", Priority.LATER, due=NOW - DAY), (10, 0)),
    ],
)
async def test_of_two_with_one_key_the_earlier_time_and_the_greater_importance_stand(
    table: Table, first: Job, second: Job, stands: tuple[int, float]
) -> None:
    await table.queue.put([first])
    await table.queue.put([second])
    assert await table.waiting() == {"k": stands}


async def test_two_of_a_key_in_one_go_are_one(table: Table) -> None:
    await table.queue.put([job("k", due=NOW + DAY), job("k", Priority.URGENT, due=NOW + 2 * DAY), job("other")])
    assert await table.waiting() == {"k": (10, 86400), "other": (20, 0)}


async def test_a_job_that_failed_keeps_its_time_whoever_asks_for_it_meanwhile(table: Table) -> None:
    await table.queue.put([job("k")])
    [(number,)] = await table.rows("UPDATE procrastinate_jobs SET status = 'doing' RETURNING id")
    await table.queue.put_back(number, job("k", due=NOW + DAY), failures=3)
    await table.queue.put([job("k", Priority.URGENT)])
    assert await table.waiting() == {"k": (10, 86400)}
    assert await table.rows("SELECT attempts FROM procrastinate_jobs") == [(3,)]


async def test_one_asked_for_while_it_ran_takes_the_time_of_the_run_that_failed(table: Table) -> None:
    await table.queue.put([job("k")])
    [(number,)] = await table.rows("UPDATE procrastinate_jobs SET status = 'doing' RETURNING id")
    await table.queue.put([job("k")])
    await table.queue.put_back(number, job("k", due=NOW + DAY), failures=1)
    assert await table.waiting() == {"k": (20, 86400)}


@pytest.mark.parametrize("after", ["done", "again"])
async def test_a_job_that_was_replaced_is_finished_by_nobody_else(table: Table, after: str) -> None:
    await table.queue.put([job("k")])
    [(number,)] = await table.rows("SELECT id FROM procrastinate_jobs")
    if after == "done":
        await table.queue.done(number + 1)
        await table.queue.done(number)
    else:
        await table.queue.put_back(number, job("k", due=NOW + DAY))
    assert await table.waiting() == {"k": (20, 0)}, "it waits, and whoever ran it before has no say"


async def test_whatever_the_program_shows_as_time_a_minute_is_a_minute(table: Table) -> None:
    for year in (1999, 2090):
        off = datetime(year, 1, 1, tzinfo=UTC)
        clockwise = Queue(table.connector, lambda off=off: off)
        await clockwise.put([job(f"{year}", due=off + timedelta(minutes=1))])
    assert {wait for _, wait in (await table.waiting()).values()} == {60}


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wait_is_kept_by_machines_whose_clocks_differ(table: Table, minutes: int) -> None:
    there = NOW + timedelta(minutes=minutes)
    await Queue(table.connector, lambda: there).put([job("k", due=there + timedelta(minutes=5))])
    await table.queue.catch_up()
    assert await table.waiting() == {"k": (20, 300)}


async def test_a_wait_that_was_made_shorter_is_known_as_that_when_the_database_s_clock_is_set_back(
    table: Table,
) -> None:
    await table.queue.put([job("k", due=NOW + DAY)])
    await table.queue.put([job("k", due=NOW + timedelta(minutes=1))])
    await table.queue.catch_up()
    assert await table.waiting() == {"k": (20, 60)}
    await table.rows("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at + interval '1 hour' RETURNING id")
    await table.queue.catch_up()
    assert await table.waiting() == {"k": (20, 0)}


async def test_a_job_is_committed_with_its_rows_or_not_at_all(table: Table) -> None:
    database = Database(table.url)
    database.attach(open_post(lambda: NOW))

    async def lost(session: AsyncSession) -> None:
        await open_post(lambda: NOW)(session, [job("lost")])
        raise DatabaseTrouble

    async with database.writing() as session:
        wanted.want(session, job("kept"))
    with pytest.raises(DatabaseTrouble):
        await database.again(lost)
    assert set(await table.waiting()) == {"kept"}
    await database.close()


async def test_a_job_that_waits_already_spoils_nobodys_transaction(table: Table) -> None:
    database = Database(table.url)
    database.attach(open_post(lambda: NOW))
    await table.queue.put([job("k", due=NOW + DAY)])
    async with database.writing() as session:
        await session.execute(text("INSERT INTO meta (name, value) VALUES ('note', 'written')"))
        wanted.want(session, job("k", Priority.URGENT), job("fresh"))
    assert await table.waiting() == {"k": (10, 0), "fresh": (20, 0)}
    assert await table.rows("SELECT value FROM meta WHERE name = 'note'") == [("written",)]
    await database.close()


AT_ONCE = """
CREATE FUNCTION at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status = 'succeeded'; RETURN NEW; END $$;
CREATE TRIGGER at_once BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION at_once()
"""


async def test_a_thousand_turns_asked_for_by_two_timetables_are_each_one_job(table: Table) -> None:
    connector = connector_for(table.url)
    await connector.open_async()
    other = Queue(connector, lambda: NOW)
    await table.line.execute(AT_ONCE)  # so that none waits in the place of the next

    async def ask(queue: Queue, minute: int) -> None:
        await queue.put_turn(job("poll"), NOW + timedelta(minutes=minute))

    try:
        async with asyncio.timeout(60):
            for minute in range(1000):
                late = 0 if minute < 700 else 3  # minutes: who was frozen for a while
                await asyncio.gather(ask(table.queue, minute), ask(other, minute - late))
        assert await table.rows("SELECT count(*) FROM procrastinate_jobs") == [(1000,)]
    finally:
        await table.line.execute("DROP FUNCTION at_once CASCADE")
        await connector.close_async()


@pytest.mark.parametrize(("asked", "jobs"), [([0, 1, 0, 1], 2), ([0, 1, 2, -60, -59, -60], 5)])
async def test_who_is_late_asks_for_nothing_new_and_a_clock_that_was_set_back_is_believed(
    table: Table, asked: list[int], jobs: int
) -> None:
    made = 0
    for minute in asked:
        await table.queue.put_turn(job("poll"), NOW + timedelta(minutes=minute))
        made += len(await table.rows("DELETE FROM procrastinate_jobs RETURNING id"))
    assert made == jobs


async def test_what_fails_says_so_in_one_line_without_what_was_to_be_written(table: Table) -> None:
    await table.line.execute("ALTER TABLE procrastinate_jobs ADD CONSTRAINT small CHECK (length(queueing_lock) < 9)")
    try:
        with pytest.raises(QueueTrouble, match=r"^queue: [^\n]*$") as caught:
            await table.queue.put([job("someone@example.org")])
    finally:
        await table.line.execute("ALTER TABLE procrastinate_jobs DROP CONSTRAINT small")
    assert "example.org" not in str(caught.value)
