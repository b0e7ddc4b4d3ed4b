"""The bot's seat: what exactly one process does for a bot at a time. It polls and answers, and sends all batches.

Rules, in order:

1. Who takes the seat reads what the one before has kept (pauses, paces, numbers), and lets a second pass in silence:
   in no second does the bot send more than it may, whoever sat there (`limits`, rule 5).
2. The work of the seat runs in an engine of its own, beside this process's other work; what there is to do follows
   from the database like all else.
3. Who leaves finishes what is being sent, within `SENDING` seconds, then what is being answered, confirms it to
   Telegram and keeps what is not kept yet: all that within what a stop has for seats. Then another may sit down.
4. Who may have been taken for dead says nothing more, wherever it was in a call (`tenure`), and what it tells the
   ledger late moves nothing there (`store.sending`).
5. It may be taken and left many times in one process. Whoever sits down again begins anew: no pace, pause or number
   of an earlier tenure is believed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bots.telegram.tenure import Tenure
from syndicator.domain.ports import Clock, Engine, Part
from syndicator.pipeline.service import in_turn

__all__ = ["Closing", "Seat", "Sender"]

SENDING = 6.0  # seconds; answers in dialogues have 5 after that, and their confirmation 2: `service.SEATED` in all

log = structlog.get_logger()


class Sender(Protocol):
    """The way out, as far as it changes hands."""

    async def begin(self, now: datetime) -> None:
        """This process sends from now on. Never raises for a database that is away."""
        ...

    async def keep(self) -> None:
        """Keep what the next one has to know; never raises, either."""
        ...


class Closing(Protocol):
    """What is to be written once the bot is quiet."""

    async def close(self) -> None:
        """Write it. Raises OSError where that cannot be done."""
        ...


class Seat:
    """A part that runs while this process has the bot's seat.

    `engine` makes what the work of the seat runs in, `finish` sees off what is still being sent (seconds at most).
    Without a `bot` only what is sent is the seat's: files in a folder.
    """

    def __init__(
        self,
        tenure: Tenure,
        *,
        clock: Clock,
        engine: Callable[[], Engine],
        finish: Callable[[float], Awaitable[object]],
        sender: Sender | None = None,
        bot: Part | None = None,
        letters: Closing | None = None,
    ) -> None:
        self._tenure = tenure
        self._clock = clock
        self._make = engine
        self._finish = finish
        self._sender = sender
        self._bot = bot
        self._letters = letters
        self._engine: Engine | None = None

    async def start(self) -> None:
        """Sit down (rule 1)."""
        self._tenure.begin()
        if self._sender is not None:
            await self._sender.begin(self._clock())
        if self._bot is not None:
            await self._bot.start()
        self._engine = self._make()
        await self._engine.start()

    async def stop(self) -> None:
        """Leave (rule 3); safe to call twice."""
        engine, self._engine = self._engine, None
        try:
            if engine is not None:
                await in_turn(SENDING, engine.stop, self._finish)
            if self._bot is not None:
                await self._bot.stop()
            await self._write()
        finally:
            self._tenure.end()

    async def _write(self) -> None:
        if self._letters is not None:
            try:
                await self._letters.close()
            except (OSError, SQLAlchemyError) as error:
                log.warning("telegram: what was answered is answered once more", reason=type(error).__name__)
        if self._sender is not None:
            await self._sender.keep()
