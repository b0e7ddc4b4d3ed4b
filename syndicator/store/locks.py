"""One running process a database: a second `run` on the same one is refused at once.

1. The lock is the operating system's (SQLite: flock on a file beside it) or the database's (PostgreSQL: an advisory
   lock of a session): it dies with the process, however it dies. There is nothing to clean up.
2. A file is locked by its own name, whatever link leads to it.
3. A session can end before the process (the server restarts, a line is cut); `held` tells, for the service to stop.
"""

from __future__ import annotations

import asyncio
import fcntl
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from syndicator.store.database import CONNECT, MissingDatabase, need_driver, shown, sqlite_path

__all__ = ["AlreadyRunning", "SingleRun"]

PATIENCE = 20.0  # seconds for a server to say that it is there
NUMBER = 0x53594E52  # any number that is ours alone, beside the migrations' one


class AlreadyRunning(RuntimeError):
    """Another process holds the database; one clear line."""


class SingleRun:
    """`with SingleRun(url):` holds the database until the end of the block.

    Raises:
        AlreadyRunning: on entering, if another process holds it.
        MissingDatabase: on entering, if the lock's file or the server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = url
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
        """Whether the database is still ours; a file's lock lasts as long as the process."""
        if self._session is None:
            return True
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread(self._session.execute, "SELECT 1")
        except (self._trouble, OSError):  # TimeoutError is one of them
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
            connection = psycopg.connect(self._url, autocommit=True, **CONNECT)
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise MissingDatabase(f"{shown(self._url)}: the database cannot be opened: {reason}") from None
        self._held.callback(connection.close)
        self._session, self._trouble = connection, psycopg.Error
        if not connection.execute("SELECT pg_try_advisory_lock(%s)", (NUMBER,)).fetchone()[0]:
            self._held.close()
            raise AlreadyRunning(f"{shown(self._url)}: another syndicator runs on this database; stop it first")
