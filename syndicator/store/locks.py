"""Who may run on a database: one process alone, or any number that share it; the one and the others refuse each other.

1. The lock is the operating system's (SQLite: flock on a file beside it) or the database's (PostgreSQL: an advisory
   lock of a session): it dies with the process, however it dies. There is nothing to clean up.
2. A file is locked by its own name, whatever link leads to it.
3. A session can end before the process (the server restarts, a line is cut). `held` then takes the lock again. As long
   as the server is away nobody can be told that it is free; only where somebody else has it now is it lost, for the
   service to stop.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import structlog

from syndicator.store.database import CONNECT, MissingDatabase, need_driver, shown, sqlite_path

__all__ = ["AlreadyRunning", "SingleRun"]

log = structlog.get_logger()

PATIENCE = 8.0  # seconds for a server to say that it is there
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
        log.warning("the lock on the database is taken again", database=shown(self._url))
        try:
            await asyncio.to_thread(self._hold_session)
        except AlreadyRunning:
            return False
        except MissingDatabase as error:
            log.warning("the lock on the database waits for it", reason=str(error))
        return True

    async def _answers(self) -> bool:
        if self._session.closed:
            return False
        asking = asyncio.create_task(asyncio.to_thread(self._session.execute, "SELECT 1"))
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if not done:
            _cut(self._session)
        try:
            await asking
        except (self._trouble, OSError):
            return False
        return True

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


def _cut(session: Any) -> None:
    """End a connection whose server is silent, from outside: the thread that waits for it goes on."""
    with suppress(OSError), socket.socket(fileno=os.dup(session.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)
