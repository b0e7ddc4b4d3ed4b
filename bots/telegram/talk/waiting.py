"""Answers that Telegram asks to wait with (429): each is given later, once, and nobody else waits for it.

Rules, in order:

1. An answer is tried at once, whatever a broadcast is doing. Told to wait, it stands in its chat's line and is tried
   again after exactly the seconds asked for; answers to the same chat that come meanwhile stand behind it, in order.
2. The one who was asked goes on: a chat that waits holds up no update of another one.
3. A minute is the most that an answer waits; then, and where a line is full, it is dropped, with a warning and a count,
   never in silence. So it is at a stop of the program.
4. A person who has blocked us meanwhile is told of like one who does so while we answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from telegram.error import Forbidden, RetryAfter, TelegramError

from bots.telegram.pace import seconds_of

__all__ = ["LONGEST", "Answers"]

LONGEST = 60.0  # seconds
IN_LINE = 20  # answers of one chat
_MARGIN = 0.05  # seconds: whole ones are rounded down by somebody, somewhere

Call = Callable[[], Awaitable[object]]

log = structlog.get_logger()


class Answers:
    """Gives answers. `slowed` hears of each wait (chat, seconds), `gone` of a chat that has shut us out and its reason.

    `told` counts: "sent", "waited" (then sent), "lost". `sleep` takes seconds; tests pass their own.
    """

    def __init__(
        self,
        *,
        gone: Callable[[int, str], Awaitable[None]],
        slowed: Callable[[int, float], Awaitable[None]],
        told: Callable[[str], None] = lambda _what: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gone = gone
        self._slowed = slowed
        self._told = told
        self._sleep = sleep
        self._lines: dict[int, deque[Call]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def give(self, chat: int, call: Call) -> None:
        """Make the call, now or later. It is made again after a 429 only: it must be all of one answer.

        Raises:
            TelegramError: it was tried at once, and refused for good.
        """
        line = self._lines.get(chat)
        if line is not None:
            if len(line) >= IN_LINE:
                self._lose(chat, 1, "too many are waiting")
            else:
                line.append(call)
            return
        try:
            await call()
        except RetryAfter as error:
            self._begin(chat, call, seconds_of(error))
        except TelegramError:
            self._told("lost")
            raise
        else:
            self._told("sent")

    async def close(self) -> None:
        """Wait no longer; what is in line is lost, and said so. Safe to call twice."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for chat, line in self._lines.items():
            self._lose(chat, len(line), "the program stops")
        self._lines.clear()

    def _begin(self, chat: int, call: Call, seconds: float) -> None:
        self._lines[chat] = deque([call])
        task = asyncio.create_task(self._serve(chat, seconds), name="telegram-answers")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, chat: int, seconds: float) -> None:
        """Give the chat's answers, one after the other; a new 429 holds up the first of them."""
        line = self._lines[chat]
        waited = 0.0
        while line:
            waited += seconds
            if waited > LONGEST:
                self._lose(chat, len(line), f"Telegram asked for {seconds:g} s more")
                break
            if seconds:
                await self._slowed(chat, seconds)
                await self._sleep(seconds + _MARGIN)
            again = await self._tried(chat, line[0])
            if again is None:
                line.popleft()
                waited = 0.0
            seconds = again or 0.0
        # Nothing is awaited since the line was seen empty: whoever comes now is tried at once.
        self._lines.pop(chat, None)

    async def _tried(self, chat: int, call: Call) -> float | None:
        """The seconds to wait before it is tried again; None where it is done with."""
        try:
            await call()
        except RetryAfter as error:
            return seconds_of(error)
        except Forbidden as error:
            self._lose(chat, 1, error.message)
            await self._shut_out(chat, error.message)
        except Exception as error:  # noqa: BLE001  # one answer that fails must not end the line
            self._lose(chat, 1, type(error).__name__)
        else:
            self._told("waited")
        return None

    async def _shut_out(self, chat: int, reason: str) -> None:
        try:
            await self._gone(chat, reason)
        except Exception as error:  # noqa: BLE001  # the next message to them finds out again
            log.warning("telegram dialogue: a chat that blocked us could not be paused", error=type(error).__name__)

    def _lose(self, chat: int, count: int, reason: str) -> None:
        for _ in range(count):
            self._told("lost")
        if count:
            log.warning("telegram dialogue: answers were not given", chat=chat, answers=count, reason=reason)
