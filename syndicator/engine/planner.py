"""The planner: asks the database what is unfinished, and puts what is due into the queue.

Rules, in order:

1. It asks on every word, though not before `settle` has passed since the last answer, and every `sweep` seconds.
2. What is due goes into the queue, but for what waits there already just as well. What is due later waits here for its
   time by the program's clock; each answer takes the place of the one before.
3. What runs already is not put in again: it is asked about once more soon, as it may have looked too early, and later
   each time for as long as nobody says anything.
4. Two planners do no harm: the keys are the same.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from syndicator.domain.ports import Clock, Job, Pending
from syndicator.ending import ended
from syndicator.engine.queue import Queue
from syndicator.engine.rhythm import Rhythm
from syndicator.engine.trying import Trying, heard

__all__ = ["Planner"]

AGAIN = 1.0  # seconds after a question that failed


class Planner:
    """See the module's rules."""

    def __init__(self, queue: Queue, pending: Pending, clock: Clock, rhythm: Rhythm) -> None:
        self._queue = queue
        self._pending = pending
        self._clock = clock
        self._rhythm = rhythm
        self._later: dict[str, Job] = {}
        self._ask = True
        self._asked_at: float | None = None
        self._answered_at: float | None = None
        self._again_at: float | None = None
        self._soon = rhythm.soon
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is to be asked and nothing is due."""
        now = self._clock()
        return not self._ask and not any(job.due <= now for job in self._later.values())

    def wake(self) -> None:
        """Something was written."""
        self._soon = self._rhythm.soon
        self._ask = True
        self._changed.set()

    async def start(self) -> None:
        """Begin with a question."""
        self._ask = True
        self._task = asyncio.create_task(self._run(), name="planner")

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def _run(self) -> None:
        trying = Trying("pending work could not be planned; asked again soon")
        while True:
            self._changed.clear()
            went = await trying.goes(self._plan)
            self._ask = self._ask or not went
            if await heard(self._changed, self._pause() if went else AGAIN):
                await asyncio.sleep(self._rest())

    async def _plan(self) -> None:
        if self._ask or self._until_sweep() <= 0:
            self._ask = False
            self._asked_at, self._again_at = monotonic(), None
            known = await self._queue.waiting()  # first: what is finished after that is pending no more
            found = {job.key: job for job in await self._pending(self._clock())}
            await self._queue.catch_up()
            self._answered_at = monotonic()
        else:
            known, found = None, self._later
        now = self._clock()
        due = [job for job in found.values() if job.due <= now]
        if due:
            known = await self._queue.waiting() if known is None else known
            there = {job.key: known[job.key] for job in due if job.key in known}
            asked = [
                job for job in due if not (one := there.get(job.key)) or not (one.running or one.is_as_good_as(job))
            ]
            await self._queue.put(asked)
            if any(one.running for one in there.values()):
                self._again_at = monotonic() + self._soon
                self._soon = min(self._soon * 2, self._rhythm.sweep)
        self._later = {key: job for key, job in found.items() if job.due > now}

    def _until_sweep(self) -> float:
        if self._asked_at is None:
            return 0.0
        at = self._asked_at + self._rhythm.sweep
        return (at if self._again_at is None else min(at, self._again_at)) - monotonic()

    def _rest(self) -> float:
        """Words come in crowds: one question answers many."""
        if self._answered_at is None:
            return 0.0
        return max(0.0, self._answered_at + self._rhythm.settle - monotonic())

    def _pause(self) -> float:
        now = self._clock()
        soonest = min((job.due for job in self._later.values()), default=None)
        until_sweep = max(self._until_sweep(), 0.01)
        return until_sweep if soonest is None else min(max((soonest - now).total_seconds(), 0.001), until_sweep)
