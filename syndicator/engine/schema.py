"""Procrastinate's own tables, made and brought up to the library's version; outside Alembic, beside our schema.

Rules, in order:

1. All in one transaction, under a lock: two programs that start at once wait for each other, and one that is killed
   leaves what was there before.
2. The library keeps no note of its version: the last migration that was applied stands as a comment on its table.
3. A migration that takes away what older programs call (`post` in its name) waits while others are at work, unless a
   later one needs it.
4. What is there already is not asked for again: making an index waits for everybody who writes jobs, and everybody
   else behind it. What is missing waits for a table 5 seconds at a time, as migrations do (`store.migrate`).
"""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

import psycopg

from syndicator.engine.line import QueueTrouble
from syndicator.libpq import CONNECT

__all__ = ["is_there", "upgrade"]

LOCK = 0x53594E50  # any number that is ours alone, beside those of the migrations and of the one running process
THERE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
MARK = "SELECT obj_description('procrastinate_jobs'::regclass, 'pg_class')"
BUSY = "SELECT EXISTS (SELECT 1 FROM procrastinate_workers WHERE last_heartbeat > now() - interval '1 minute')"
KNOWN = "SELECT to_regprocedure('procrastinate_fetch_job_v2(character varying[], bigint)') IS NOT NULL"
# The library's query for the next job looks for others of the same lock: without this, at all that wait.
INDEXED = "SELECT to_regclass('syndicator_jobs_lock') IS NOT NULL"
INDEX = """CREATE INDEX syndicator_jobs_lock ON procrastinate_jobs (lock)
    WHERE status = ANY (ARRAY['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status])"""


TIMES, PAUSE = 12, 2.0  # how often a table is asked for that is in use, and the seconds between
WAIT = "SET LOCAL lock_timeout = '5s'"


async def upgrade(url: str) -> None:
    """Make the tables, or bring them to the installed library's version; safe to repeat.

    Raises:
        QueueTrouble: the database cannot be reached or changed, or its tables are of an unknown version.
    """
    try:
        for left in range(TIMES - 1, -1, -1):
            try:
                async with await psycopg.AsyncConnection.connect(url, **CONNECT) as line:
                    await line.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                    await line.execute(WAIT)
                    await _upgrade(line)
            except psycopg.errors.LockNotAvailable:
                if not left:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                return
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()
        raise QueueTrouble(
            f"queue: its tables cannot be made: {reason[0] if reason else type(error).__name__}"
        ) from None


async def is_there(url: str) -> bool:
    """Whether the tables are there, in the installed library's version or a newer one.

    Raises:
        QueueTrouble: the database cannot be reached.
    """
    try:
        async with await psycopg.AsyncConnection.connect(url, **CONNECT) as line:
            if not await _one(line, THERE):
                return False
            return not _steps(str(await _one(line, MARK) or ""), busy=True)
    except psycopg.Error as error:
        raise QueueTrouble(f"queue: {str(error).strip().splitlines()[0]}") from None


async def _upgrade(line: psycopg.AsyncConnection[Any]) -> None:
    found, mark = None, _names()[-1]
    if not await _one(line, THERE):
        await line.execute(_sql("schema.sql"))
    else:
        found = await _one(line, MARK)
        if found is None and not await _one(line, KNOWN):
            raise QueueTrouble("queue: its tables are of a version that is not known; see docs/operating.md")
        steps = _steps(str(found or mark), busy=bool(await _one(line, BUSY)))
        for name in steps:
            await line.execute(_sql("migrations", name))
        mark = max([str(found or mark), *steps])
    if not await _one(line, INDEXED):
        await line.execute(INDEX)
    if mark != found:
        await line.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{mark}'")  # a file's name


def _names() -> list[str]:
    folder = resources.files("procrastinate.sql") / "migrations"
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))


def _steps(mark: str, *, busy: bool) -> list[str]:
    """The migrations after that one; without those at the end that take something away, where others are at work."""
    steps = [name for name in _names() if name > mark]
    while busy and steps and "_post_" in steps[-1]:
        steps.pop()
    return steps


def _sql(*path: str) -> Any:
    return resources.files("procrastinate.sql").joinpath(*path).read_text(encoding="utf-8")


async def _one(line: psycopg.AsyncConnection[Any], query: str) -> Any:
    found = await (await line.execute(query)).fetchone()
    return found[0] if found else None
