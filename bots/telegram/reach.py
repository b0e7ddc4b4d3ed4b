"""What can be reached: Telegram itself, and the office's own chats. Said once when it ends and once when it is back.

Rules, in order:

1. One call that found no line is nothing to tell; two in a row mean that the line is down: nothing is claimed then, and
   every few seconds one call finds out (`LONGEST` at most, so that a withdrawal follows soon after the line is back).
   Calls that come meanwhile wait for its answer.
2. Any answer, a refusal too, is a line that works. A line that broke in the middle says nothing.
3. A chat of the office's own that does not take our posts is one line, however many posts wait for it.

It lives as long as the process: after a restart, trouble that lasts is said again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from telegram.error import NetworkError, TelegramError

from bots.telegram.transport import Lost, LostInTime, NotOurs, NotSent, TooLarge

__all__ = ["LONGEST", "Reach"]

LONGEST = timedelta(seconds=15)
_FIRST = timedelta(seconds=4)
T = TypeVar("T")

log = structlog.get_logger()


class Reach:
    """What one bot's broadcasts can reach. Moments are passed in."""

    def __init__(self) -> None:
        self._failed = 0
        self._until: datetime | None = None
        self._probing = asyncio.Lock()
        self._shut: set[str] = set()

    @property
    def is_up(self) -> bool:
        """Whether the line to Telegram works, as far as anybody knows."""
        return self._until is None

    def held_until(self, now: datetime) -> datetime | None:
        """Until when nobody need try, or None.

        A time further ahead than any that is ever set was set before the clock went back: somebody may try.
        """
        if self._until is not None and self._until - now > LONGEST:
            self._until = now
        return self._until if self._until is not None and self._until > now else None

    async def call(self, send: Callable[[], Awaitable[T]], moment: Callable[[], datetime]) -> T:
        """Make a call, if somebody may.

        Raises:
            TelegramError: as `send` does; `NotSent` also where the line was found to be down meanwhile.
        """
        if self.is_up:
            return await self._tried(send, moment)
        async with self._probing:
            if self.held_until(moment()) is not None:
                raise NotSent("the line is down")
            return await self._tried(send, moment)

    async def _tried(self, send: Callable[[], Awaitable[T]], moment: Callable[[], datetime]) -> T:
        try:
            answer = await send()
        except NotOurs:  # it is not the line's fault
            raise
        except NotSent as error:
            self._down(error, moment())
            raise
        except TelegramError as error:
            # BadRequest and TimedOut are NetworkErrors of the library; a plain one is a 502 or a line that broke.
            if isinstance(error, TooLarge) or not (type(error) is NetworkError or isinstance(error, Lost | LostInTime)):
                self._up()
            raise
        self._up()
        return answer

    def _down(self, error: NotSent, now: datetime) -> None:
        if self.held_until(now) is not None:
            return  # it was on its way when another found out
        self._failed += 1
        if self._failed == 1:
            return
        if self.is_up:
            log.error("telegram cannot be reached: messages wait, and go out when it can", reason=error.message)
        self._until = now + min(_FIRST * 2 ** min(self._failed - 2, 4), LONGEST)

    def _up(self) -> None:
        if not self.is_up:
            log.info("telegram can be reached again: what waited goes out")
        self._failed, self._until = 0, None

    def begin(self) -> None:
        """What this process found out a while ago is no news of the line."""
        self._failed, self._until = 0, None

    # -- the office's own chats
    def shut(self, chat: str, reason: str) -> None:
        """That chat does not take our posts."""
        if chat not in self._shut:
            self._shut.add(chat)
            log.error(
                "telegram: a chat of the configuration cannot be written to; what is for it waits",
                chat=chat,
                reason=reason,
            )

    def opened(self, chat: str) -> None:
        """It took one."""
        if chat in self._shut:
            self._shut.discard(chat)
            log.info("telegram: a chat of the configuration can be written to again", chat=chat)
