"""What any web machine took from Telegram, dealt with by the one process that has the bot's seat.

Rules, in order:

1. Updates are given to the desk in the order of their numbers: those of a chat one after the other, different chats
   side by side. One that is slow holds up nobody but its own chat.
2. An update is done once the desk has dealt with it, and that is written at once. One that was under way when this
   process ended is dealt with once more by the next; handlers are safe to repeat (`desk`).
3. What cannot be read is told, and counts as done: the next process would read it no better.
4. While the bot is not up, nothing is taken.

It is a room of its own, see `domain.ports.Workplace`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from telegram import Bot

from bots.telegram.desk import Desk
from bots.telegram.webhook import as_update
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.store import telegram_updates
from syndicator.store.database import Database

__all__ = ["UPDATES", "Letterbox"]

UPDATES = "telegram-updates"
AT_ONCE = 100
QUICK = 0.3  # seconds that most handlers need at most
SOON = timedelta(seconds=1)


class Letterbox:
    """Empties it. `number` is the bot's own."""

    def __init__(
        self, database: Database, number: int, bot: Bot, desk: Desk, is_up: Callable[[], bool], clock: Clock
    ) -> None:
        self._database = database
        self._number = number
        self._bot = bot
        self._desk = desk
        self._is_up = is_up
        self._clock = clock
        self._taken: set[int] = set()  # given to the desk, and not written as done yet
        self._unreadable: set[int] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """Its one job."""
        return {UPDATES: self.empty}

    async def pending(self, now: datetime) -> Sequence[Job]:
        """Whether anything waits."""
        async with self._database.reading() as session:
            waits = await telegram_updates.waits(session, self._number)
        return [Job(UPDATES, UPDATES, Priority.URGENT, now, lane=UPDATES)] if waits else []

    async def empty(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # it names the box
        """Deal with what waits, until nothing is left or only what is slow."""
        if not self._is_up():
            return Again(self._clock() + SOON)
        while not turn.should_yield():
            new = await self._take()
            await self._desk.rest(QUICK)
            await self._settle()
            if not new:
                return Again(self._clock() + SOON) if self._taken else Done()
        return Again(self._clock())

    async def close(self) -> None:
        """The desk is closed: write what it has dealt with; what was broken off waits for the next process.

        Raises:
            OSError: it cannot be written; the next process deals with it once more.
        """
        try:
            await self._settle()
        finally:
            self._taken.clear()

    async def _take(self) -> int:
        """Give the desk what is not in hand; how many those were."""
        async with self._database.reading() as session:
            found = await telegram_updates.waiting(session, self._number, AT_ONCE, self._taken)
        for number, body in found:
            self._taken.add(number)
            update = as_update(number, json.loads(body), self._bot)
            if update is None:
                self._unreadable.add(number)
            else:
                self._desk.take(update)
        return len(found)

    async def _settle(self) -> None:
        """Rule 2."""
        finished = {number for number in self._taken if number in self._unreadable or self._desk.knows(number)}
        if not finished:
            return
        async with self._database.writing() as session:
            await telegram_updates.done(session, self._number, finished, self._clock())
        self._taken -= finished
        self._unreadable -= finished
