"""Answers that Telegram asks to wait with (429): each is given later, once, and nobody else waits for it.

Rules, in order:

1. An answer is tried at once, whatever a broadcast is doing. Told to wait, it stands in its chat's line and is tried
   again after exactly the seconds asked for; answers to the same chat that come meanwhile stand behind it, in order.
   A screen in place of one that still waits for the same message takes its turn: what is shown last is what holds.
2. The one who was asked goes on: a chat that waits holds up no update of another one.
3. A minute is the most that an answer waits; then it is dropped, with a warning and a count, never in silence. So is
   the oldest where a line is full, and all at a stop of the program. The log names no chat: it is a person's address.
4. A person who has blocked us meanwhile is told of like one who does so while we answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from telegram.error import Forbidden, RetryAfter, TelegramError

from bots.telegram.pace import seconds_of

__all__ = ["LONGEST", "Answers"]

LONGEST = 60.0  # seconds
IN_LINE = 20  # answers of one chat
_MARGIN = 0.05  # seconds: whole ones are rounded down by somebody, somewhere

Call = Callable[[], Awaitable[object]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Waiting:
    call: Call
    place: int | None  # the message that it is shown in place of


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
        self._lines: dict[int, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def give(self, chat: int, call: Call, *, place: int | None = None) -> None:
        """Make the call, now or later. It is made again after a 429 only: it must be all of one answer.

        `place` is the number of the message that it is shown in place of, if any.

        Raises:
            TelegramError: it was tried at once, and refused for good.
        """
        line = self._lines.get(chat)
        if line is not None:
            self._join(line, _Waiting(call, place))
            return
        try:
            await call()
        except RetryAfter as error:
            self._begin(chat, _Waiting(call, place), seconds_of(error))
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
        self._lose(sum(map(len, self._lines.values())), "the program stops")
        self._lines.clear()

    def _join(self, line: deque[_Waiting], new: _Waiting) -> None:
        """Rules 1 and 3."""
        for at, one in enumerate(line):
            if new.place is not None and one.place == new.place:
                line[at] = new
                return
        if len(line) >= IN_LINE:
            line.popleft()
            self._lose(1, "too many are waiting")
        line.append(new)

    def _begin(self, chat: int, first: _Waiting, seconds: float) -> None:
        self._lines[chat] = deque([first])
        task = asyncio.create_task(self._serve(chat, seconds), name="telegram-answers")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, chat: int, seconds: float) -> None:
        """Give the chat's answers, one after the other; a new 429 holds up the first of them."""
        line = self._lines[chat]
        waited = 0.0
        try:
            while line:
                waited += seconds
                if waited > LONGEST:
                    self._lose(len(line), f"Telegram asked for {seconds:g} s more")
                    break
                if seconds:
                    await self._slowed(chat, seconds)
                    await self._sleep(seconds + _MARGIN)
                again = await self._served(chat, line)
                if again is None:
                    waited = 0.0
                seconds = again or 0.0
        except Exception as error:  # noqa: BLE001  # a line that ends by a fault must not shut its person out
            self._lose(len(line), type(error).__name__)
        # Nothing is awaited since the line was seen empty: whoever comes now is tried at once.
        self._lines.pop(chat, None)

    async def _served(self, chat: int, line: deque[_Waiting]) -> float | None:
        """The first in line: the seconds to wait before it is tried again; None where it is done with.

        It stands in no line meanwhile, so that nothing takes its turn while it is under way.
        """
        first = line.popleft()
        again: float | None = 0.0
        try:
            again = await self._tried(chat, first.call)
        finally:
            if again is not None and not (first.place is not None and any(one.place == first.place for one in line)):
                line.appendleft(first)
        return again

    async def _tried(self, chat: int, call: Call) -> float | None:
        """The seconds to wait before it is tried again; None where it is done with."""
        try:
            await call()
        except RetryAfter as error:
            return seconds_of(error)
        except Forbidden as error:
            self._lose(1, error.message)
            await self._shut_out(chat, error.message)
        except Exception as error:  # noqa: BLE001  # one answer that fails must not end the line
            self._lose(1, type(error).__name__)
        else:
            self._told("waited")
        return None

    async def _shut_out(self, chat: int, reason: str) -> None:
        try:
            await self._gone(chat, reason)
        except Exception as error:  # noqa: BLE001  # the next message to them finds out again
            log.warning("telegram dialogue: a chat that blocked us could not be paused", error=type(error).__name__)

    def _lose(self, count: int, reason: str) -> None:
        for _ in range(count):
            self._told("lost")
        if count:
            log.warning("telegram dialogue: answers were not given", answers=count, reason=reason)
