"""Listening by long polling.

Rules, in order:

1. An update is confirmed only after it was handled: the offset never passes one that is under way, so a crash repeats
   it. While a slow one holds the offset, what comes behind it is asked for again and again, and heard.
2. Whatever Telegram or the line does, the bot waits and asks again (`trouble`).
3. A webhook keeps a poll from hearing anything; it is taken away, and that is said: somebody set it.
4. What was handled is confirmed when the bot goes down, so that the next start does not repeat it. The poll
   that was under way is over before that: whoever polls next meets no other.
5. A process that speaks for the bot no longer (`tenure`) asks nothing, hears nothing, and says nothing of it: what it
   was told is told again to who does.

https://core.telegram.org/bots/api#getupdates: updates are kept for 24 hours; what an outage of days swallowed is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog
from telegram import Bot, Update
from telegram.error import Conflict

from bots.telegram.desk import Desk
from bots.telegram.tenure import Tenure
from bots.telegram.trouble import Trouble

__all__ = ["ALLOWED_UPDATES", "LONG_POLL", "Polling", "Sleep"]

ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member")
LONG_POLL = timedelta(seconds=50)
QUICK = 0.3  # seconds that most handlers need at most; a slow one is not waited for any longer
GRACE = 5.0
Sleep = Callable[[float], Awaitable[object]]

log = structlog.get_logger()


class Polling:
    """Asks for updates and gives them to the desk, while it is `tenure`'s to do so."""

    def __init__(
        self, bot: Bot, desk: Desk, trouble: Trouble, tenure: Tenure, *, poll_for: timedelta, sleep: Sleep
    ) -> None:
        self._bot = bot
        self._desk = desk
        self._trouble = trouble
        self._tenure = tenure
        self._poll_for = poll_for
        self._sleep = sleep
        self._behind: int | None = None  # the number behind the last update that came

    async def run(self) -> None:
        """Until it is cancelled."""
        tries, self._behind = 0, None  # numbers begin anew after a quiet week, and others may have polled meanwhile
        try:
            while True:
                try:
                    updates = await self._ask()
                except Exception as error:  # noqa: BLE001  # whatever it is: say it, and try again
                    tries += 1
                    await self._sleep(await self._recovered(error, tries - 1))
                    continue
                if not self._tenure.holds():
                    continue  # asking again says so
                tries = 0
                self._trouble.ends()
                await self._heard(updates)
        finally:
            broken_off = await self._desk.close(GRACE)
            await self._confirm(self._behind if broken_off is None else broken_off)

    async def _ask(self) -> Sequence[Update]:
        slow = self._desk.unfinished
        offset, patience = (self._behind, self._poll_for) if slow is None else (slow, timedelta(0))
        return await self._bot.get_updates(offset=offset, timeout=patience, allowed_updates=list(ALLOWED_UPDATES))

    async def _heard(self, updates: Sequence[Update]) -> None:
        """Begin with each; wait a little for what is slow, so that nothing is asked for in a hurry meanwhile."""
        for update in updates:
            self._desk.take(update)
        if updates:
            self._behind = updates[-1].update_id + 1
        await self._desk.rest(QUICK)

    async def _recovered(self, error: Exception, tries: int) -> float:
        """Seconds to wait before the next poll."""
        if not self._tenure.holds():
            return 1.0
        if isinstance(error, Conflict) and "webhook is active" in error.message:
            try:
                await self._bot.delete_webhook()
            except Exception as other:  # noqa: BLE001  # whatever it is: say it, and try again
                return self._trouble.begins(other, tries)
            log.warning("telegram: somebody had set a webhook for this bot; taken away, since telegram.mode is polling")
            return 1.0
        return self._trouble.begins(error, tries)

    async def _confirm(self, offset: int | None) -> None:
        """Tell Telegram how far we are."""
        if offset is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._bot.get_updates(offset=offset, limit=1, timeout=0, allowed_updates=list(ALLOWED_UPDATES))
        except Exception as error:  # noqa: BLE001  # we are going down; the next start hears them once more
            log.debug("telegram: the last updates stay unconfirmed", error=type(error).__name__)
