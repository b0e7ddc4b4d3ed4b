"""The database: one way to read, one way to write, on SQLite and on PostgreSQL.

Rules, in order:

1. `reading()` gives a session on one snapshot that cannot write; many at once.
2. `writing()` gives a session inside one transaction: BEGIN IMMEDIATE on SQLite, one writer at a time in this
   process; committed at the end of the block, rolled back by any exception.
3. What is committed survives a power cut: SQLite runs in WAL mode with synchronous=FULL.
4. Nothing here makes a database: `store.migrate.upgrade` does. One that cannot be opened is a `MissingDatabase`; one
   that fails later (locked, disk full, server lost or not the one that writes) is a `DatabaseTrouble`: one line, and
   nothing of it was written. Where PostgreSQL finds that two transactions wait for each other, one of them is
   `Collided`: `again` repeats it.
5. A session stays inside its block; no network call is made while one is open.
6. Nothing waits for ever: a server has 4 seconds to open, a statement 30 (reading) or 60 (writing); a migration may
   take its time. A server or a line that gives no answer is noticed within 10 (`patience`): the block that waits ends
   with `DatabaseTrouble`, its connection is thrown away, and the next block opens a new one.
7. No error's text says what was to be written: it may be an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from syndicator.store.engines import (
    DatabaseTrouble,
    MissingDatabase,
    engine_for,
    need_driver,
    probe,
    shown,
    sqlite_path,
)
from syndicator.store.wanted import Post, opened, posted

__all__ = [
    "Collided",
    "Database",
    "DatabaseTrouble",
    "MissingDatabase",
    "engine_for",
    "need_driver",
    "probe",
    "shown",
    "sqlite_path",
]

SNAPSHOT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
DEADLOCK = "40P01"  # PostgreSQL's deadlock_detected
COLLISIONS = 3  # after so many a transaction is tried for the last time
T = TypeVar("T")


class Collided(DatabaseTrouble):
    """Two transactions waited for each other, and this one gave way: nothing of it is written; repeat it."""


class Database:
    """Opens sessions. `url` is as configured: sqlite:///PATH or postgresql://...

    Raises:
        MissingDatabase: the URL cannot be used, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = sqlite_path(url)
        self._writers = engine_for(url, "write")
        self._readers = engine_for(url, "read")
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._path else nullcontext()
        self._probed = False
        self._watch: AsyncConnection | None = None
        self._post: Post | None = None
        self._watching = asyncio.Lock()

    def attach(self, post: Post) -> None:
        """From now on, what transactions want done (`store.wanted`) is posted with them."""
        self._post = post

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session on one snapshot; it refuses to write.

        Raises:
            MissingDatabase: it cannot be opened.
            DatabaseTrouble: it fails.
        """
        async with self._plainly(), self._connected(self._readers) as connection:
            async with AsyncSession(connection, expire_on_commit=False, autoflush=False) as session:
                yield session
            await connection.rollback()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction, committed at the end of the block, rolled back by any exception.

        Raises:
            MissingDatabase: it cannot be opened.
            DatabaseTrouble: it fails; nothing of the block is written.
        """
        async with self._plainly(), self._turn, self._connected(self._writers) as connection, connection.begin():
            session = AsyncSession(connection, expire_on_commit=False)
            opened(session, self._post)
            async with session:
                yield session
                await session.flush()
                await posted(session, self._post)

    async def again(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """`work` in one transaction as by `writing`, repeated where it collided with others'.

        Raises:
            MissingDatabase: it cannot be opened.
            DatabaseTrouble: it fails, or collided each time; nothing of it is written.
        """
        for _ in range(COLLISIONS):
            try:
                async with self.writing() as session:
                    return await work(session)
            except Collided:
                continue
        async with self.writing() as session:
            return await work(session)

    async def data_version(self) -> int:
        """A number that changes when any session, of this process or another, has committed a write.

        SQLite: PRAGMA data_version, asked on a connection that itself never writes. PostgreSQL: the first transaction
        number not given out yet (pg_snapshot_xmax); reading takes none.

        Raises:
            DatabaseTrouble: it fails.
        """
        if self._path is None:
            async with self.reading() as session:
                return int((await session.execute(text(SNAPSHOT))).scalar_one())
        async with self._plainly(), self._watching:
            if self._watch is None:
                self._watch = await self._opened(self._readers)
                await self._watch.rollback()
            version = await self._watch.exec_driver_sql("PRAGMA data_version")
            number = int(version.scalar_one())
            await self._watch.rollback()
            return number

    async def close(self) -> None:
        """Let go of every connection; safe to call twice."""
        if self._watch is not None:
            await self._watch.close()
            self._watch = None
        await self._readers.dispose()
        await self._writers.dispose()

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = await self._opened(engine)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def _plainly(self) -> AsyncIterator[None]:
        """The driver's own errors as one line without what was to be written."""
        try:
            yield
        except DBAPIError as error:
            if not isinstance(error, OperationalError) and not error.connection_invalidated:
                raise
            kind = Collided if getattr(error.orig, "sqlstate", None) == DEADLOCK else DatabaseTrouble
            raise kind(f"{shown(self.url)}: {_reason(error)}") from None

    async def _opened(self, engine: AsyncEngine) -> AsyncConnection:
        if self._path is not None and not self._probed:
            await probe(self._path, "rw")
            self._probed = True
        try:
            return await engine.connect()
        except NoneFree:
            raise DatabaseTrouble(f"{shown(self.url)}: no connection became free in time") from None
        except (OperationalError, OSError) as error:
            raise MissingDatabase(f"{shown(self.url)}: the database cannot be opened: {_reason(error)}") from None


def _reason(error: DBAPIError | OSError) -> str:
    said = str(getattr(error, "orig", error)).strip()
    return said.splitlines()[0] if said else type(error).__name__
