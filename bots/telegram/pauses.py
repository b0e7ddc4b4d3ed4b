"""Where pauses are kept, so that a restart keeps them too: a small port, and its place in the database.

A bot that forgets a pause of hours and sends at once is made to wait longer still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from bots.telegram.kept import KINDS, Pause, parted
from syndicator.store import pauses
from syndicator.store.database import Database

__all__ = ["DatabasePauses", "Pauses"]


class Pauses(Protocol):
    """Keeps pauses by scope. Both methods raise OSError when the place cannot be reached."""

    async def load(self) -> Sequence[Pause]:
        """All that are kept, past or not: one that has just ended tells that trouble has come back."""
        ...

    async def keep(self, pause: Pause) -> None:
        """Keep one; of two for one scope the longer stays."""
        ...


class DatabasePauses:
    """Keeps them in the service's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[Pause]:
        """All that are kept; see `Pauses`."""
        try:
            async with self._database.reading() as session:
                return [Pause(*one) for one in await pauses.all(session) if parted(one[0])[0] in KINDS]
        except SQLAlchemyError as error:
            raise OSError(f"pauses cannot be read: {type(error).__name__}") from error

    async def keep(self, pause: Pause) -> None:
        """Keep one; see `Pauses`."""
        try:
            async with self._database.writing() as session:
                await pauses.pause(session, pause.scope, pause.until, pause.reason)
        except SQLAlchemyError as error:
            raise OSError(f"a pause cannot be kept: {type(error).__name__}") from error
