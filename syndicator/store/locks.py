"""Who may run on a database: one process alone, or any number that share it; the one and the others refuse each other.

1. The lock is the operating system's (SQLite: flock on a file beside it) or the database's (PostgreSQL: an advisory
   lock of a session): it dies with the process, however it dies. There is nothing to clean up.
2. A file is locked by its own name, whatever link leads to it.
3. A session can end before the process (the server restarts, a line is cut). `held` then takes the lock again. As long
   as the server is away nobody can be told that it is free; only where somebody else has it now is it lost, for the
   service to stop. That it waits is said once, and so is that it was taken again.
4. No question to the server takes longer than `PATIENCE`, and whoever is told to stop meanwhile cuts its line: a server
   that hangs keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from time import sleep
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import structlog

from syndicator.libpq import CONNECT, cut
from syndicator.store.database import MissingDatabase, need_driver, shown, sqlite_path

__all__ = ["AlreadyRunning", "SingleRun"]

log = structlog.get_logger()

PATIENCE = 8.0  # seconds for a server to answer
NUMBER = 0x53594E52  # any number that is ours alone, beside the migrations' one

GHOSTS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()
"""


class AlreadyRunning(RuntimeError):
    """Another process holds the database; one clear line."""


class SingleRun:
    """`with SingleRun(url):` holds the database until the end of the block; `shared`, beside others that share it.

    Raises:
        AlreadyRunning: on entering, if another process holds it.
        MissingDatabase: on entering, if the lock's file or the server cannot be reached.
    """

    def __init__(self, url: str, *, shared: bool = False) -> None:
        self._url = url
        self._shared = shared
        self._name = f"syndicator run {uuid4().hex}"
        self._held = ExitStack()
        self._session: Any = None
        self._trouble: type[Exception] = OSError
        self._waits = False

    def __enter__(self) -> Self:
        path = sqlite_path(self._url)
        if path is None:
            self._hold_session()
        else:
            path = path.resolve()
            self._hold_file(path.with_name(path.name + ".lock"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    async def held(self) -> bool:
        """Whether the database is still ours, as far as we can know; a file's lock lasts as long as the process."""
        if self._session is None or await self._answers():
            return True
        self._held.close()
        try:
            await self._in_thread(self._hold_session)
        except AlreadyRunning:
            return False
        except MissingDatabase as error:
            if not self._waits:
                log.warning("the lock on the database waits for it", reason=str(error))
            self._waits = True
            return True
        self._waits = False
        log.warning("the lock on the database was taken again", database=shown(self._url))
        return True

    async def _answers(self) -> bool:
        if self._session.closed:
            return False
        try:
            await self._in_thread(self._ask)
        except (self._trouble, OSError):
            return False
        return True

    def _ask(self) -> None:
        with self._in_time():
            self._session.execute("SELECT 1")

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except asyncio.CancelledError:  # the loop waits for its threads at the end
            self._cut()
            raise

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """What is asked here ends in time, with the driver's error if need be, in whatever thread (rule 4)."""
        end = Timer(PATIENCE, self._cut)
        end.daemon = True
        end.start()
        try:
            yield
        finally:
            end.cancel()

    def _cut(self) -> None:
        with suppress(self._trouble):  # it is closed already
            cut(self._session.fileno())

    def lost(self) -> AlreadyRunning:
        """What to say when it is no longer held."""
        return AlreadyRunning(f"{shown(self._url)}: the lock on the database was lost; stopped, lest two run on it")

    def _hold_file(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise MissingDatabase(f"{path}: cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise AlreadyRunning(f"{path}: another syndicator runs on this database; stop it first") from None
        self._held.callback(file.close)

    def _hold_session(self) -> None:
        need_driver()
        psycopg: Any = import_module("psycopg")
        try:
            connection = psycopg.connect(self._url, autocommit=True, application_name=self._name, **CONNECT)
            self._held.callback(connection.close)
            self._session, self._trouble = connection, psycopg.Error
            with self._in_time():
                taken = self._is_taken(connection)
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise MissingDatabase(f"{shown(self._url)}: the database cannot be opened: {reason}") from None
        if not taken:
            self._held.close()
            raise AlreadyRunning(f"{shown(self._url)}: another syndicator runs on this database; stop it first")

    def _is_taken(self, connection: Any) -> bool:
        """Take the lock; a session of our own that the server does not know to be dead yet is ended first."""
        ghosts = connection.execute(GHOSTS, (self._name,)).fetchall()
        take = "SELECT pg_try_advisory_lock_shared(%s)" if self._shared else "SELECT pg_try_advisory_lock(%s)"
        for _ in range(20 if ghosts else 1):
            if connection.execute(take, (NUMBER,)).fetchone()[0]:
                return True
            sleep(0.1)
        return False
