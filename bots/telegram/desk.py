"""Where updates are handled, however they came: each once, in order within its chat, different chats side by side.

Rules, in order:

1. An update that is under way or was handled lately is not handled again: Telegram repeats what we have not confirmed.
2. Updates of one chat wait for each other in the order of their arrival; those of different chats do not, so a slow
   handler holds up nobody but its own chat. After `LONGEST` seconds it is given up.
3. Of one chat no more is handled than a person can do (`turnstile`): else one chat could keep the database's only
   writer, and the seats, to itself.
4. One that cannot be handled is told, and counts as handled: bringing it again would help nobody.
5. What was handled is remembered in this process only. A crash between handling and confirming repeats it after the
   next start, so handlers are safe to repeat.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from weakref import WeakValueDictionary

import structlog
from telegram import Update

from bots.telegram.trouble import fault
from bots.telegram.turnstile import Turnstile, Way

__all__ = ["LONGEST", "Desk"]

LONGEST = 60.0
SIDE_BY_SIDE = 64
REMEMBERED = 10_000

log = structlog.get_logger()


class Desk:
    """Hands updates to `handle`, and to `slow` the one that was too much of its chat's."""

    def __init__(
        self,
        handle: Callable[[Update], Awaitable[None]],
        *,
        turnstile: Turnstile,
        slow: Callable[[Update], Awaitable[None]],
    ) -> None:
        self._handle = handle
        self._slow = slow
        self._turnstile = turnstile
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._handled: deque[int] = deque(maxlen=REMEMBERED)
        self._known: set[int] = set()
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._seats = asyncio.Semaphore(SIDE_BY_SIDE)

    @property
    def unfinished(self) -> int | None:
        """The lowest number that is still being handled, or None."""
        return min(self._under_way, default=None)

    def knows(self, number: int) -> bool:
        """Whether it was handled lately."""
        return number in self._known

    def take(self, update: Update) -> None:
        """Begin with it, unless it is known."""
        number = update.update_id
        if number in self._under_way or number in self._known:
            return
        try:
            way = self._turnstile.way(update)
            who = update.effective_chat or update.effective_user
            lock = self._locks.setdefault(who.id if who else 0, asyncio.Lock())
        except Exception as error:  # noqa: BLE001  # rule 4: the library does not look whether a chat's number is one
            log.error("telegram: an update could not be handled", error=fault(error))  # noqa: TRY400
            way = Way.OUT
        if way is Way.OUT:
            self._remember(number)
            return
        handle = self._handle if way is Way.IN else self._slow
        self._under_way[number] = asyncio.create_task(
            self._work(handle, update, lock), name=f"telegram-update-{number}"
        )

    async def done(self, numbers: Iterable[int], seconds: float) -> bool:
        """Wait until these are handled, so long at most; whether they are."""
        tasks = [task for number in numbers if (task := self._under_way.get(number)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return all(task.done() for task in tasks)

    async def rest(self, seconds: float) -> None:
        """Wait until nothing is being handled, so long at most."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=seconds)

    async def close(self, seconds: float) -> int | None:
        """Finish what is being handled; what takes longer is broken off, to come again after the next start.

        Returns:
            The lowest number that was broken off, or None.
        """
        await self.rest(seconds)
        late = dict(self._under_way)
        for task in late.values():
            task.cancel()
        await asyncio.gather(*late.values(), return_exceptions=True)
        return min(late, default=None)

    async def _work(self, handle: Callable[[Update], Awaitable[None]], update: Update, lock: asyncio.Lock) -> None:
        """One update; in order, since locks are given in the order in which they are asked for."""
        try:
            async with lock, self._seats, asyncio.timeout(LONGEST):
                await handle(update)
        except Exception as error:  # noqa: BLE001  # see rule 4; a traceback could hold the token
            log.error("telegram: an update could not be handled", error=fault(error))  # noqa: TRY400
        finally:
            del self._under_way[update.update_id]
        self._remember(update.update_id)

    def _remember(self, number: int) -> None:
        if len(self._handled) == REMEMBERED:
            self._known.discard(self._handled[0])
        self._handled.append(number)
        self._known.add(number)
