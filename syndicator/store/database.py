"""The database: one way to read, one way to write, on SQLite and on PostgreSQL.

CONTRACT (to be filled in):

1. `reading()` gives a session on a deferred snapshot; many at once.
2. `writing()` gives a session inside one transaction: BEGIN IMMEDIATE on SQLite, one writer at a time in this
   process; committed at the end of the block, rolled back by any exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession


class MissingDatabase(OSError):
    """The database cannot be opened; one clear line."""


class Database:
    """Opens sessions. `url` is as configured: sqlite:///PATH or postgresql://..."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        raise NotImplementedError
        yield

    async def data_version(self) -> int:
        """A number that changes when another connection has committed (SQLite's PRAGMA data_version; 0 on PostgreSQL)."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


# syndicator.store.migrate:
#   async def upgrade(url: str) -> None           bring the schema to head (creates the SQLite file and folder)
#   async def is_current(database) -> bool
#   class NewerSchema(RuntimeError)                the database was made by a newer version: refuse, one clear line
# syndicator.store.locks:
#   class SingleRun: `with SingleRun(url):` a second `run` on the same SQLite database raises AlreadyRunning (one clear
#       line); the lock dies with the process (flock on PATH.lock; advisory lock on PostgreSQL)
