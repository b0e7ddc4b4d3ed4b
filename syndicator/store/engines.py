"""Engines: how SQLite and PostgreSQL are opened, for reading, for writing, and for making what is not there yet.

Rules, in order:

1. SQLite: WAL with synchronous=FULL, and each transaction begins in full (`BEGIN IMMEDIATE` for a writer).
2. PostgreSQL: nothing waits for ever. A server has 4 seconds to open (`libpq`), a statement 30 (reading) or 60
   (writing); one that gives no answer is given up (`patience`), and a writer that is silent for 10 s by the server:
   a worker that is frozen in a transaction keeps its rows from whoever does its work no longer than that.
3. A server that does not write any more, as one that was made a standby, is left: its lines are thrown away.
4. No error's text says what was to be written: it may be an address.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from syndicator.libpq import CONNECT, SILENT

__all__ = ["DatabaseTrouble", "MissingDatabase", "engine_for", "need_driver", "probe", "shown", "sqlite_path"]

BUSY_MS = 10_000
READERS = 8
PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA synchronous=FULL",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
)
ONCE = ("PRAGMA journal_mode=WAL",)
NO_WRITES = ("PRAGMA query_only=ON",)
# What the server does with us when we are gone without a word: it lets go of what we have locked.
FAREWELL = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4"
FREE_SECONDS = 10  # to wait for a connection of one's own
STATEMENT_SECONDS = {"read": 30, "write": 60, "create": 0}  # 0: as long as it takes
ENDED = ("25P03", "25P04")  # idle_in_transaction_session_timeout, transaction_timeout
STANDBY = "25006"  # read_only_sql_transaction


class DatabaseTrouble(OSError):
    """The database fails now; one clear line. What was being written is not there, and may be tried again."""


class MissingDatabase(DatabaseTrouble):
    """The database cannot be opened; one clear line."""


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
    from syndicator.patience import PatientConnection, SteppingCursor  # noqa: PLC0415  # it loads the driver

    patience = f"-c statement_timeout={STATEMENT_SECONDS[use]}s {FAREWELL} {SILENT if use == 'write' else ''}"
    asked: dict[str, Any] = {name: value for name, value in CONNECT.items() if name not in parsed.query}
    asked["options"] = f"{patience} {parsed.query.get('options', '')}".strip()  # the configured one wins
    if use == "write":
        asked["cursor_factory"] = SteppingCursor
    engine = create_async_engine(
        parsed,
        connect_args={**asked, "async_creator_fn": PatientConnection.connect},
        pool_pre_ping=True,
        use_native_hstore=False,  # no column is one: a new line is not asked for its number
        pool_size=READERS,
        max_overflow=READERS,
        pool_timeout=FREE_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "handle_error", _without_values)
    event.listen(engine.sync_engine, "handle_error", _ended)
    if use != "read":
        event.listen(engine.sync_engine, "handle_error", _demoted)
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _ended(context: ExceptionContext) -> None:
    """A session that the server has ended is a line that is lost, which psycopg does not say of these."""
    if getattr(context.original_exception, "sqlstate", None) in ENDED:
        context.is_disconnect = True


def _demoted(context: ExceptionContext) -> None:
    """A server that does not write any more is left: with this line go all of the pool. Who only reads has a bug."""
    if getattr(context.original_exception, "sqlstate", None) == STANDBY:
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
