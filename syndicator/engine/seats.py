"""Seats: what exactly one process may do at a time. Whoever holds a seat runs its Part.

Rules, in order:

1. A seat is one long job with a lock of its own and no future date, in a lane of its own.
2. Its Part runs until the engine stops, or until this process is not sure of itself any more: then it is stopped at
   once, before anybody can take the seat.
   It is given back when the Part has stopped, however long that takes.
3. A Part that cannot start, or that fails at its end, gives the seat back; this process tries again after a growing
   while, another one may at once. A Part may be started again after it was stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

import structlog

from syndicator.domain.ports import Again, Attendance, Handler, Job, Part, Turn, Verdict
from syndicator.ending import ended
from syndicator.engine.failing import LONGEST_URGENT
from syndicator.engine.queue import Queue
from syndicator.engine.trying import Trying, heard

__all__ = ["SEAT", "Seats"]

log = structlog.get_logger()

SEAT = "seat"
PREFIX = "seat:"
LOOK = 0.25  # seconds between looks at one's own attendance
AWAY = 1.0  # seconds away after the first failure, twice as many after each other one
OFTEN = 20.0  # seconds between looks whether a seat has its job
AGAIN = 1.0  # seconds after a look that failed


class Seats:
    """The seats that this process may hold."""

    def __init__(self, parts: Mapping[str, Part], queue: Queue, attendance: Attendance) -> None:
        self._parts = {f"{PREFIX}{name}": part for name, part in parts.items()}
        self._queue = queue
        self._attendance = attendance
        self._failures: dict[str, int] = {}
        self._away: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.held: set[str] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """The one job of seats, where there are any."""
        return {SEAT: self._sit} if self._parts else {}

    def wants(self, lane: str) -> bool:
        """Whether this process takes that seat now."""
        return lane in self._parts and not self._leaving.is_set() and self._away.get(lane, 0.0) <= monotonic()

    def wake(self) -> None:
        """Somebody said something: perhaps a seat is free."""
        self._changed.set()

    async def start(self) -> None:
        """See to it that each seat has its job."""
        self._leaving.clear()
        if self._parts:
            self._task = asyncio.create_task(self._run(), name="seats")

    async def stop(self) -> None:
        """Leave; who holds a seat gives it back when its Part has stopped. Safe to call twice."""
        self._leaving.set()
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def leave(self) -> None:
        """Leave no job for a seat that perhaps nobody else may hold; who may asks for it anew.

        Raises:
            QueueTrouble: the database fails.
        """
        if self._parts:
            await self._queue.forget(list(self._parts))

    async def _run(self) -> None:
        trying = Trying("seats cannot be asked for; tried again")
        while True:
            self._changed.clear()
            went = await trying.goes(self._ensure)
            if await heard(self._changed, self._pause(OFTEN if went else AGAIN)):
                await asyncio.sleep(0.1)

    async def _ensure(self) -> None:
        for lane in self._parts:
            if self.wants(lane) and lane not in self.held:
                await self._queue.ensure(lane, SEAT)

    def _pause(self, longest: float) -> float:
        coming = [until - monotonic() for until in self._away.values() if until > monotonic()]
        return max(0.05, min([longest, *coming]))

    async def _sit(self, job: Job, turn: Turn) -> Verdict:
        part, number = self._parts[job.lane], self._attendance.number
        self.held.add(job.lane)
        log.info("this process has the seat", seat=job.lane)
        began = False
        try:
            await part.start()
            began = True
            while self._may_stay(turn, number):  # noqa: ASYNC110  # a clock tells, nobody does
                await asyncio.sleep(LOOK)
        except OSError as error:
            log.error("the work of a seat cannot begin", seat=job.lane, reason=str(error))  # noqa: TRY400
        except Exception:
            log.exception("the work of a seat failed", seat=job.lane)
        finally:
            await self._rise(job.lane, part, began=began)
        return Again(job.due)  # at once, for whoever may: a date ahead would block the lock

    def _may_stay(self, turn: Turn, number: int | None) -> bool:
        return not turn.should_yield() and self._attendance.is_sure() and self._attendance.number == number

    async def _rise(self, lane: str, part: Part, *, began: bool) -> None:
        try:
            await _whole(asyncio.create_task(part.stop(), name=f"leaving {lane}"))
        except Exception:
            log.exception("the work of a seat did not stop cleanly", seat=lane)
            began = False
        self.held.discard(lane)
        if began:
            self._failures.pop(lane, None)
            self._away.pop(lane, None)
        else:
            self._failures[lane] = self._failures.get(lane, 0) + 1
            self._away[lane] = monotonic() + min(AWAY * 2.0 ** min(self._failures[lane] - 1, 20), 12 * LONGEST_URGENT)
        self._changed.set()
        log.info("this process has left the seat", seat=lane)


async def _whole(ending: asyncio.Task[None]) -> None:
    """Wait for it though the job is cancelled: a seat is not given back while its Part still runs."""
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            if ending.cancelled():
                return
    ending.result()
