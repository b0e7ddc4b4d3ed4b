"""The jobs of this process: taken from the queue as its lanes have room, done, and given back.

Procrastinate's worker does it all, as it is; what it asks its job manager for is answered here by our rules:

1. Each lane has its own workers (`lanes`; one where it is not named), so that a slow relay never delays another.
2. The worker's number is the process's (`attendance`); its signs of life are given there, and only a judge prunes.
3. A finished job is deleted, one that gave way or failed goes back, at its time. One that somebody else has taken the
   place of meanwhile is nobody's: nothing happens. What cannot be said because the database is gone is said later.
4. A job that no handler here is known for is left to others: a newer version has put it in, and does it at once.
5. A word that comes while the queue is asked is not forgotten: it is asked again.
6. A job may be ours without our knowing: the line broke before the queue had said so, or the answer could not be read.
   With each sign of life's time the queue is asked for such, and they are put in anew.
7. A worker that ends by itself has its jobs give way, seats among them, so that it can be begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog
from procrastinate import PsycopgConnector
from procrastinate.jobs import Job as Row
from procrastinate.jobs import Status
from procrastinate.manager import JobManager

from syndicator.domain.ports import Again, Attendance, Clock, Handler, Job, Verdict
from syndicator.engine.failing import seconds_away
from syndicator.engine.line import QueueTrouble
from syndicator.engine.queue import Queue, job_of
from syndicator.engine.rhythm import Rhythm
from syndicator.metrics import Metrics

__all__ = ["Crew"]

log = structlog.get_logger()


@dataclass(slots=True)
class _Running:
    """A job at work, and what is to become of it."""

    row: Row
    job: Job
    number: int
    begun: float
    verdict: Verdict | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a running job may ask; see `domain.ports.Turn`."""

    crew: Crew
    running: _Running

    def should_yield(self) -> bool:
        return self.crew.wants_room(self.running)


class Crew(JobManager):
    """See the module's rules: a job manager for one worker of Procrastinate's."""

    # ruff: noqa: ARG002  # the library says what its job manager is told

    def __init__(
        self,
        connector: PsycopgConnector,
        queue: Queue,
        attendance: Attendance,
        handlers: Mapping[str, Handler],
        *,
        lanes: Mapping[str, int],
        works_on: Callable[[str], bool],
        clock: Clock,
        metrics: Metrics,
        rhythm: Rhythm,
    ) -> None:
        super().__init__(connector)
        self._queue = queue
        self._attendance = attendance
        self._handlers = handlers
        self._lanes = lanes
        self._works_on = works_on
        self._clock = clock
        self._metrics = metrics
        self._rhythm = rhythm
        self._running: dict[int, _Running] = {}
        self._board: dict[str, int] = {}
        self._looked = 0.0
        self._words, self._looked_words = 1, 0
        self._said = asyncio.Event()
        self._owed: dict[int, tuple[Job | None, int]] = {}
        self._strangers: set[str] = set()
        self._ours: set[int] = set()  # taken, and not given back yet
        self._reclaimed = 0.0
        self._failing = False
        self._ending = False
        self._alarm: asyncio.TimerHandle | None = None
        self.stopping = False

    # -- what others ask
    @property
    def busy(self) -> bool:
        """Whether anything runs, or has not been given back yet."""
        return bool(self._running or self._owed)

    def nudge(self) -> None:
        """Somebody said something, or something is free: look into the queue."""
        self._words += 1
        self._said.set()

    def wants_room(self, running: _Running) -> bool:
        """Whether a running job should give way: all ends, it is not ours any more, or more important work waits."""
        if self.stopping or self._ending or running.number != self._attendance.number:
            return True
        lane = running.job.lane
        if self._free(lane) > 0 or self._looked < running.begun:
            return False
        return self._board.get(lane, running.job.priority) < running.job.priority

    async def pay(self) -> None:
        """Say what could not be said of finished jobs.

        Raises:
            QueueTrouble: it cannot be said now either.
        """
        for number, (job, failures) in list(self._owed.items()):
            await self._give_back(number, job, failures)
            self._owed.pop(number, None)

    # -- what the worker asks
    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """None: a worker that starts must not judge the living. See `engine.judge`."""
        return []

    async def register_worker(self) -> int:
        """This process is registered already."""
        number = self._attendance.number
        if number is None:
            raise QueueTrouble("queue: this process is not registered")
        return number

    async def unregister_worker(self, worker_id: int) -> None:
        """At its end the process does that."""

    async def update_heartbeat(self, worker_id: int) -> None:
        """Signs of life are the process's."""

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """None: nobody aborts jobs of ours."""
        return []

    async def listen_for_jobs(self, *, on_notification: Any, queues: Iterable[str] | None = None) -> None:
        """Pass on what the process's one listener hears; it is cancelled as the worker begins to end (rule 7)."""
        self._ending = False
        try:
            while True:
                await self._said.wait()
                self._said.clear()
                await on_notification(channel="", notification={"type": "job_inserted", "job_id": 0})
        finally:
            self._ending = True
            if not self.stopping:
                log.error("the worker ends by itself; what it does gives way, and it is begun again")

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Row | None:
        """The most important job of a lane that has room, or None. Rule 5."""
        try:
            row = await self._fetch()
        except OSError as error:
            if not self._failing:
                log.warning("the queue cannot be read; tried again", reason=str(error))
            self._failing, self._reclaimed = True, 0.0
            return None
        except Exception:
            log.exception("the queue cannot be read; tried again")
            self._reclaimed = 0.0
            return None
        self._failing = False
        return row

    async def finish_job(self, job: Row, status: Status, delete_job: bool) -> None:  # noqa: FBT001  # the library's
        """What became of it is told to the queue, now or later; never raises."""
        running = self._running.pop(job.id or 0, None)
        if running is None:
            return
        after, failures = self._after(running)
        try:
            await self._give_back(running.row.id or 0, after, failures)
        except Exception as error:  # noqa: BLE001  # said now and tried again, whatever it is
            self._owed[running.row.id or 0] = after, failures
            log.warning("a finished job cannot be given back; tried again", job=running.job.key, reason=str(error))
        self.nudge()

    # -- one job
    async def perform(self, row: Row) -> None:
        """Do it, and note what is to become of it."""
        running = self._running[row.id or 0]
        job, started, result = running.job, monotonic(), "failed"
        try:
            running.verdict = await self._handlers[job.name](job, _Turn(self, running))
            result = "again" if isinstance(running.verdict, Again) else "done"
        except asyncio.CancelledError:
            running.verdict = Again(self._clock())
            result = "cancelled"
            raise
        except OSError as error:  # the outside fails, such as a locked database: a trace would not help
            running.failures = row.attempts + 1
            log.error("job failed", job=job.key, again_in_seconds=self._away(running), reason=str(error))  # noqa: TRY400
        except Exception:
            running.failures = row.attempts + 1
            log.exception("job failed", job=job.key, again_in_seconds=self._away(running))
        finally:
            self._metrics.jobs.labels(job.name, result).inc()
            self._metrics.job_seconds.labels(job.name).observe(monotonic() - started)

    def _away(self, running: _Running) -> float:
        return seconds_away(running.failures, running.job.priority)

    def _after(self, running: _Running) -> tuple[Job | None, int]:
        """The job that takes its place, if any, and how often that has failed."""
        job, verdict = running.job, running.verdict
        if running.failures:
            return replace(job, due=self._clock() + timedelta(seconds=self._away(running))), running.failures
        if isinstance(verdict, Again):
            return replace(job, due=verdict.due), 0
        if verdict is None:  # it never began
            return replace(job, due=self._clock()), running.row.attempts
        return None, 0

    async def _give_back(self, number: int, job: Job | None, failures: int) -> None:
        if job is None:
            await self._queue.done(number)
        else:
            await self._queue.put_back(number, job, failures=failures)
        self._ours.discard(number)

    # -- the queue
    async def _fetch(self) -> Row | None:
        await self._reclaim()
        while not self.stopping:
            words = self._words
            if words != self._looked_words or monotonic() - self._looked >= self._rhythm.poll:
                await self._look(words)
            lanes = [lane for lane in self._board if self._takes(lane)]
            row = await self._next(lanes) if lanes else None
            if row is not None:
                return row
            if not lanes and words == self._words:
                break
        return None

    async def _reclaim(self) -> None:
        """Rule 6. Jobs are taken one after the other, here and nowhere else: none is being taken meanwhile."""
        number = self._attendance.number
        if number is None or self.stopping or monotonic() - self._reclaimed < self._rhythm.beat:
            return
        strays = await self._queue.reclaim(number, self._ours)
        self._reclaimed = monotonic()
        if strays:
            log.warning("jobs that were ours without our knowing are done anew", jobs=strays)

    def _takes(self, lane: str) -> bool:
        """Whether a job of that lane could begin here now."""
        return self._works_on(lane) and self._free(lane) > 0

    async def _look(self, words: int) -> None:
        begun = monotonic()
        found = await self._queue.board(self._handlers)
        self._board = {lane: waiting.priority for lane, waiting in found.items() if waiting.priority is not None}
        self._looked, self._looked_words = begun, words
        for name in sorted({name for waiting in found.values() for name in waiting.strange} - self._strangers):
            self._strangers.add(name)
            log.warning("a job of a version that this one does not know waits for that one", job=name)
        soonest = min(
            (waiting.wait for waiting in found.values() if waiting.wait is not None), default=self._rhythm.poll
        )
        if soonest < self._rhythm.poll:
            self._awaken(soonest)

    def _awaken(self, seconds: float) -> None:
        """Look again when the next job comes due: no word is said then."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(max(seconds, 0.005), self.nudge)

    async def _next(self, lanes: list[str]) -> Row | None:
        number = self._attendance.number
        if number is None or not self._attendance.is_sure():
            self._board.clear()
            return None
        row = await self._queue.take(lanes, self._handlers, number)
        if row is None or row.id is None:
            for lane in lanes:
                self._board.pop(lane, None)
            return None
        running = _Running(row, job_of(row), number, monotonic())
        self._ours.add(row.id)
        if self.stopping:
            await self._refuse(running)
            return None
        self._running[row.id] = running
        return row

    async def _refuse(self, running: _Running) -> None:
        number, failures = running.row.id or 0, running.row.attempts
        try:
            await self._give_back(number, running.job, failures)
        except OSError:
            self._owed[number] = running.job, failures
            raise

    def _free(self, lane: str) -> int:
        return self._lanes.get(lane, 1) - sum(1 for running in self._running.values() if running.job.lane == lane)
