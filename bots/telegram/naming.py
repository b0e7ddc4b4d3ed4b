"""The bot's public name, for machines that do not run it: their pages lead people to it all the same.

Rules, in order:

1. Who has the bot's seat learns the name from Telegram and keeps it beside the secret (`store.meta`), by the bot's
   number: with another token it is another bot.
2. The other machines read it, often until it is known, then now and then: a bot may be renamed.
3. Where it cannot be read, what is known stays.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from syndicator.store import meta
from syndicator.store.database import Database

__all__ = ["KeptName"]

SOON, NOW_AND_THEN = 5.0, 300.0  # seconds

log = structlog.get_logger()


class KeptName:
    """Keeps and reads it. A part of a service that has no bot of its own; `current` is "" while it is not known."""

    def __init__(self, database: Database, bot: int) -> None:
        self._database = database
        self._key = f"telegram:{bot}:username"
        self._task: asyncio.Task[None] | None = None
        self.current = ""

    async def keep(self, name: str) -> None:
        """Telegram has told it. Where it cannot be kept, that is said; the next start tries again."""
        self.current = name
        try:
            async with self._database.writing() as session:
                await meta.put(session, self._key, name)
        except (OSError, SQLAlchemyError) as error:
            log.warning("telegram: the bot's name cannot be kept for other machines", reason=type(error).__name__)

    async def start(self) -> None:
        """Begin to read it."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="telegram-name")

    async def stop(self) -> None:
        """End; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(NOW_AND_THEN if self.current else SOON)

    async def read(self) -> None:
        """Take up what is kept (rule 3)."""
        try:
            async with self._database.reading() as session:
                self.current = await meta.get(session, self._key) or self.current
        except (OSError, SQLAlchemyError) as error:
            log.debug("the bot's name cannot be read now", reason=type(error).__name__)
