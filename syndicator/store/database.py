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
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from syndicator.store.wanted import Post, opened, posted

__all__ = [
    "CONNECT",
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

BUSY_MS = 10_000
READERS = 8
SNAPSHOT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA synchronous=FULL",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
)
ONCE = ("PRAGMA journal_mode=WAL",)
NO_WRITES = ("PRAGMA query_only=ON",)
SQLITE = "sqlite"
CONNECT = {  # libpq's, in seconds but for `tcp_user_timeout`: a line that is cut is noticed in about eight
    "connect_timeout": 4,
    "tcp_user_timeout": 8000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
# What the server does with us when we are gone without a word: it lets go of what we have locked.
FAREWELL = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4"
IDLE_WRITER = "-c idle_in_transaction_session_timeout=60s"
FREE_SECONDS = 10  # to wait for a connection of one's own
STATEMENT_SECONDS = {"read": 30, "write": 60, "create": 0}  # 0: as long as it takes

DEADLOCK = "40P01"  # PostgreSQL's deadlock_detected
LEFT = ("25006", "25P03")  # read_only_sql_transaction: a standby now; idle_in_transaction_session_timeout
COLLISIONS = 3  # after so many a transaction is tried for the last time
T = TypeVar("T")


class DatabaseTrouble(OSError):
    """The database fails now; one clear line. What was being written is not there, and may be tried again."""


class MissingDatabase(DatabaseTrouble):
    """The database cannot be opened; one clear line."""


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


def shown(url: str) -> str:
    """The database's name for people and logs, without its password."""
    path = sqlite_path(url)
    return str(path) if path else make_url(url).render_as_string(hide_password=True)


async def probe(path: Path, mode: Literal["rw", "rwc"]) -> None:
    """Open the file once, alone; an engine that fails to open one leaves a thread behind that outlives its loop.

    Raises:
        MissingDatabase: it is missing, not ours to open, or no database.
    """

    def look() -> None:
        with closing(sqlite3.connect(_file(path, mode), uri=True, timeout=BUSY_MS / 1000)) as connection:
            connection.execute("PRAGMA schema_version")

    try:
        await asyncio.to_thread(look)
    except sqlite3.Error as error:
        raise MissingDatabase(f"{path}: the database cannot be opened: {error}") from None


def _file(path: Path, mode: str) -> str:
    return f"file:{quote(str(path))}?mode={mode}"


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL; None for PostgreSQL."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None


def engine_for(url: str, use: Literal["read", "write", "create"]) -> AsyncEngine:
    """An engine for that use; `create` is `write` that may make the SQLite file.

    Raises:
        MissingDatabase: the URL cannot be used, or its driver is not installed.
    """
    path = sqlite_path(url)
    return _postgresql(url, use) if path is None else _sqlite(path, use)


def _sqlite(path: Path, use: str) -> AsyncEngine:
    mode = "rwc" if use == "create" else "rw"
    name = _file(path, mode).partition("?")[0]
    most, more = (READERS, READERS) if use == "read" else (1, 0)
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=name, query={"mode": mode, "uri": "true"}),
        hide_parameters=True,
        pool_size=most,
        max_overflow=more,
        pool_use_lifo=True,  # each has a cache of its own: the one that was used last has the most in it
    )
    pragmas = (*PRAGMAS, *NO_WRITES) if use == "read" else (*PRAGMAS, *ONCE)

    # The driver's own habit of beginning before some statements only is switched off; each transaction
    # begins in full, so that DDL rolls back too and a writer never has to upgrade a read lock.
    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if use == "read" else "BEGIN IMMEDIATE")

    return engine


def need_driver() -> None:
    """PostgreSQL's driver comes with an extra, so that a small machine does without.

    Raises:
        MissingDatabase: it is not installed.
    """
    if find_spec("psycopg") is None:
        raise MissingDatabase(
            "postgresql needs its driver: install the extra `cluster` (pip install 'syndicator[cluster]')"
        )


def _postgresql(url: str, use: str) -> AsyncEngine:
    need_driver()
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError:
        raise MissingDatabase("database.url: it is not an address of the form postgresql://USER@HOST/NAME") from None
    from syndicator.patience import PatientConnection  # noqa: PLC0415  # it loads the driver

    patience = f"-c statement_timeout={STATEMENT_SECONDS[use]}s {FAREWELL} {IDLE_WRITER if use == 'write' else ''}"
    asked: dict[str, Any] = {name: value for name, value in CONNECT.items() if name not in parsed.query}
    asked["options"] = f"{patience} {parsed.query.get('options', '')}".strip()  # the configured one wins
    engine = create_async_engine(
        parsed,
        connect_args={**asked, "async_creator_fn": PatientConnection.connect},
        pool_pre_ping=True,
        pool_size=READERS,
        max_overflow=READERS,
        pool_timeout=FREE_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "handle_error", _without_values)
    if use != "read":
        event.listen(engine.sync_engine, "handle_error", _move_on)
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _move_on(context: ExceptionContext) -> None:
    """A server that does not write any more, or has ended our session, is left: with it go all lines of the pool."""
    if getattr(context.original_exception, "sqlstate", None) in LEFT:
        context.is_disconnect = True


def _without_values(context: ExceptionContext) -> None:
    """PostgreSQL's DETAIL line says which row was refused, with its values: people's addresses."""
    diagnosis = getattr(context.original_exception, "diag", None)
    if diagnosis is None or not diagnosis.message_detail:
        return
    context.original_exception.args = (diagnosis.message_primary,)
    wrapped = context.sqlalchemy_exception
    if wrapped is not None:
        wrapped.args = tuple(str(arg).partition("\nDETAIL:")[0] for arg in wrapped.args)
