"""The running service: its parts, started in order and stopped in the opposite one.

Rules, in order:

1. A part that cannot start stops those before it, and the reason is one clear line.
2. SIGTERM and SIGINT stop gracefully: no new work, chunks in flight are finished and settled, all within 30 seconds.
   What is being sent gets `SENDING` of them, shared (`in_turn`); the rest is for answers of who is told, and goodbyes.
   What a seat sends gets `SEATED`, so that the seat is free for others before this process is waited for no more.
3. A part that fails while stopping is logged; the others are stopped all the same.
4. A service that has lost its right to run (the database's lock) stops by itself.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from syndicator.domain.ports import Part
from syndicator.ending import ended

__all__ = ["GRACE", "SEATED", "SENDING", "Guard", "Part", "Running", "in_turn", "nothing", "serve"]

log = structlog.get_logger()

GRACE = 30.0  # seconds from the signal to the end of the process
SENDING = 16.0  # seconds of them for what is being sent
SEATED = 13.0  # seconds of these for the work of a seat: who waits for that gives the seat back within `SENDING`


async def nothing() -> None:
    """For a part that has nothing to do at one end."""


@dataclass(frozen=True, slots=True)
class Running:
    """A part made of two functions."""

    begin: Callable[[], Awaitable[object]] = nothing
    end: Callable[[], Awaitable[object]] = nothing

    async def start(self) -> None:
        """Begin."""
        await self.begin()

    async def stop(self) -> None:
        """End."""
        await self.end()


async def in_turn(seconds: float, *ends: Callable[[float], Awaitable[object]]) -> None:
    """End one after the other; each is given what those before it have left of `seconds`. See rule 3 for failures."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    for end in ends:
        try:
            await end(max(0.0, until - loop.time()))
        except Exception:
            log.exception("a part did not stop cleanly", part=getattr(end, "__qualname__", ""))


class Guard:
    """Stops the service when it may no longer run; `failed` says so afterwards. Asks `holds` every some seconds."""

    def __init__(self, holds: Callable[[], Awaitable[bool]], stop: asyncio.Event, seconds: float = 10) -> None:
        self._holds = holds
        self._stop = stop
        self._seconds = seconds
        self._watch: asyncio.Task[None] | None = None
        self.failed = False

    async def start(self) -> None:
        """Begin asking."""
        self._watch = asyncio.create_task(self._ask(), name="guard")

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._watch is not None:
            await ended(self._watch)
            self._watch = None

    async def _ask(self) -> None:
        while not self._stop.is_set():
            if not await self._holds():
                self.failed = True
                self._stop.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._seconds)


async def serve(parts: Sequence[Part], stop: asyncio.Event | None = None) -> None:
    """Run all parts until a signal (or `stop`) says otherwise."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started: list[Part] = []
    try:
        for part in parts:
            started.append(part)
            await part.start()
        await stop.wait()
        log.info("stopping")
    finally:
        await _stop(started)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _stop(started: Sequence[Part]) -> None:
    try:
        async with asyncio.timeout(GRACE - 1):
            for part in reversed(started):
                try:
                    await part.stop()
                except Exception:
                    log.exception("a part did not stop cleanly", part=type(part).__name__)
    except TimeoutError:
        log.error("stopped without waiting longer", seconds=GRACE)  # noqa: TRY400  # the trace would say nothing
