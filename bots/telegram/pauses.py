"""Where pauses are kept, so that a restart keeps them too: a small port, and its place in the database.

A bot that forgets a pause of hours and sends at once is made to wait longer still.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from bots.telegram.limits import Pause
from syndicator.store import pauses
from syndicator.store.database import Database

__all__ = ["DatabasePauses", "Pauses"]


class Pauses(Protocol):
    """Keeps pauses by scope. Both methods raise OSError when the place cannot be reached."""

    async def load(self) -> Mapping[str, datetime]:
        """All that are kept, by scope."""
        ...

    async def keep(self, pause: Pause) -> None:
        """Keep one."""
        ...


class DatabasePauses:
    """Keeps them in the service's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[str, datetime]:
        """All that are kept, by scope."""
        try:
            async with self._database.reading() as session:
                return await pauses.all(session)
        except SQLAlchemyError as error:
            raise OSError(f"pauses cannot be read: {type(error).__name__}") from error

    async def keep(self, pause: Pause) -> None:
        """Keep one."""
        try:
            async with self._database.writing() as session:
                await pauses.pause(session, pause.scope, pause.until, pause.reason)
        except SQLAlchemyError as error:
            raise OSError(f"a pause cannot be kept: {type(error).__name__}") from error
