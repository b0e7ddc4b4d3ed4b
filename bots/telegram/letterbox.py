"""What any web machine took from Telegram, dealt with by the one process that has the bot's seat.

Rules, in order:

1. Updates are given to the desk in the order of their numbers: those of a chat one after the other, different chats
   side by side. One that is slow holds up nobody but its own chat. Telegram calls several machines at once, and the
   higher number may be kept first: where one is missing it has `GAP` seconds to come. What comes later than that (it
   was refused, or lost its way, and was brought again) is dealt with when it comes.
2. An update is done once the desk has dealt with it, and that is written at once. One that was under way when this
   process ended is dealt with once more by the next; handlers are safe to repeat (`desk`).
3. What cannot be read, or not be begun with, is told, and counts as done: the next process would read it no better.
4. While the bot is not up, nothing is taken.

It is a room of its own, see `domain.ports.Workplace`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from telegram import Bot, Update

from bots.telegram.desk import Desk
from bots.telegram.trouble import fault
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
GAP = 0.2  # seconds: two calls that Telegram makes at the same time are kept this close to each other

log = structlog.get_logger()


class Letterbox:
    """Empties it. `number` is the bot's own, `sleep` waits so many seconds."""

    def __init__(
        self,
        database: Database,
        number: int,
        bot: Bot,
        desk: Desk,
        is_up: Callable[[], bool],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._number = number
        self._bot = bot
        self._desk = desk
        self._is_up = is_up
        self._clock = clock
        self._sleep = sleep
        self._highest: int | None = None  # of those that were given to the desk
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
            self._unreadable.clear()
            self._highest = None

    async def _take(self) -> int:
        """Give the desk what is not in hand; how many those were."""
        found = await self._waiting()
        if self._lacks([number for number, _ in found]):
            await self._sleep(GAP)
            found = await self._waiting()
        for number, body in found:
            self._taken.add(number)
            self._highest = max(number, self._highest or 0)
            update = self._read(number, body)
            if update is None:
                self._unreadable.add(number)
            else:
                self._desk.take(update)
        return len(found)

    async def _waiting(self) -> Sequence[tuple[int, str]]:
        async with self._database.reading() as session:
            return await telegram_updates.waiting(session, self._number, AT_ONCE, self._taken)

    def _lacks(self, numbers: Iterable[int]) -> bool:
        """Whether one is missing before or among these, which are in order (rule 1)."""
        highest = self._highest
        for number in numbers:
            if highest is not None and number > highest + 1:
                return True
            highest = max(number, highest or 0)
        return False

    def _read(self, number: int, body: str) -> Update | None:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:  # it could just be read when it came, less deep in the program
            log.warning("telegram: an update cannot be read, and is passed over", update=number, error=fault(error))
            return None
        return as_update(number, given, self._bot)

    async def _settle(self) -> None:
        """Rule 2."""
        finished = {number for number in self._taken if number in self._unreadable or self._desk.knows(number)}
        if not finished:
            return
        async with self._database.writing() as session:
            await telegram_updates.done(session, self._number, finished, self._clock())
        self._taken -= finished
        self._unreadable -= finished
