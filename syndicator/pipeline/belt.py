"""The belt: a number that moves when others have written is asked for every some seconds, and a move is told.

1. It comes beside being told at once, where there is such a way (NOTIFY), and in its place where there is none.
2. A database that does not answer is said once, and asked again; what moved meanwhile is seen then. That it answers
   again is said once, too: each process has a belt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from syndicator.ending import ended

__all__ = ["Belt"]

log = structlog.get_logger()


class Belt:
    """A part of the service. `read` gives the number, `moved` is called when it is another than before."""

    def __init__(self, read: Callable[[], Awaitable[int]], seconds: float, moved: Callable[[], None]) -> None:
        self._read, self._seconds, self._moved = read, seconds, moved
        self._last: int | None = None
        self._failing = False
        self._ends = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self._ends.clear()
        self._watch = asyncio.create_task(self._run(), name="belt")

    async def stop(self) -> None:
        """End, after the question that is under way; safe to call twice."""
        if self._watch is None:
            return
        self._ends.set()
        await asyncio.wait([self._watch], timeout=self._seconds + 1)
        await ended(self._watch)
        self._watch = None

    async def look(self) -> None:
        """Ask once."""
        try:
            found = await self._read()
        except OSError as error:
            if not self._failing:
                self._failing = True
                log.warning("what others write cannot be seen now", reason=str(error))
            return
        except Exception:
            log.exception("what others write cannot be seen now")
            return
        if self._failing:
            log.info("what others write is seen again")
        self._failing = False
        if found != self._last:
            self._last = found
            self._moved()

    async def _run(self) -> None:
        while not self._ends.is_set():
            await self.look()
            try:
                await asyncio.wait_for(self._ends.wait(), self._seconds)
            except TimeoutError:
                continue
