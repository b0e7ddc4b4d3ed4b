"""The embedded engine: jobs run inside this process, on one machine, in one asyncio loop.

Rules, in order:

1. It stores nothing. What must be done follows from the database through `pending(now)`, asked at start, on every
   wake and every `sweep` seconds; a job that was lost with the process is found there again. Each answer takes the
   place of the one before: what was due at noon and is now due at one, or not at all, is not done at noon.
2. Equal keys are one job: of those waiting the earliest due time and the most important priority count, and a
   key never runs twice at a time; one submitted while it runs is run once more afterwards.
3. Each lane has its own workers, so that a slow relay never delays feeds. Within a lane the more important job goes
   first, then the earlier one; a running job is asked to give way (`Turn.should_yield`) after its chunk.
4. A job that raises is logged and stays away for a growing while, an urgent one never for long; it is no reason for
   another to wait.
5. `stop` starts nothing new, lets running chunks finish for `grace` seconds, then cancels.
6. A turn of a timetable (`occurrence`) that was asked for already is not asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic

import structlog

from syndicator.domain.ports import Again, Clock, Handler, Job, Pending
from syndicator.engine.failing import seconds_away
from syndicator.metrics import Metrics

__all__ = ["EmbeddedEngine"]

log = structlog.get_logger()

QUERY = 1.0  # seconds at a stop, at least, for a question that is under way


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a running job may ask; see `domain.ports.Turn`."""

    engine: EmbeddedEngine
    job: Job

    def should_yield(self) -> bool:
        return self.engine.wants_room(self.job)


@dataclass(slots=True)
class _Failures:
    """How often each key has failed in a row, since when, and for how long it stays away."""

    counts: Counter[str] = field(default_factory=Counter)
    away: dict[str, tuple[datetime, timedelta]] = field(default_factory=dict)

    def note(self, job: Job, now: datetime) -> float:
        self.counts[job.key] += 1
        seconds = seconds_away(self.counts[job.key], job.priority)
        self.away[job.key] = now, timedelta(seconds=seconds)
        return seconds

    def clear(self, key: str) -> None:
        self.counts.pop(key, None)
        self.away.pop(key, None)

    def until(self, key: str, now: datetime) -> datetime | None:
        """When it may be tried again, if not now. A failure that lies ahead was before the clock went back."""
        failed, length = self.away.get(key, (now, timedelta(0)))
        return failed + length if failed <= now < failed + length else None


class EmbeddedEngine:
    """See the module's rules. `lanes` says how many jobs of a lane run side by side; a lane not named has one."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        pending: Pending,
        *,
        clock: Clock,
        metrics: Metrics,
        lanes: Mapping[str, int] | None = None,
        sweep: float = 30.0,
    ) -> None:
        self._handlers = handlers
        self._pending = pending
        self._clock = clock
        self._metrics = metrics
        self._lanes = dict(lanes or {})
        self._sweep = sweep
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures = _Failures()
        self._occurred: dict[str, datetime] = {}  # by key, the latest turn of its timetable
        self._changed = asyncio.Event()
        self._ask = True
        self._found: set[str] = set()  # keys that the last answer of `pending` named
        self._asked_at: float | None = None  # on the loop's clock, which nobody sets back
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    # -- the port
    async def submit(self, job: Job, occurrence: datetime | None = None) -> None:
        """Ask for a job; see rules 2 and 6.

        Raises:
            KeyError: no handler has that name.
        """
        if job.name not in self._handlers:
            raise KeyError(f"no handler for job {job.name!r}")
        if occurrence is not None and self._occurred.get(job.key) == occurrence:
            return
        if occurrence is not None:
            self._occurred[job.key] = occurrence
        self._wait(job)
        self._changed.set()

    def wake(self) -> None:
        """Something was written: ask the database for pending work now."""
        self._ask = True
        self._changed.set()

    async def start(self) -> None:
        """Resume what the database says is unfinished, then keep going."""
        self._stopping = False
        self._ask = True
        self._loop = asyncio.create_task(self._run(), name="engine")

    async def stop(self, grace: float) -> None:
        """Take nothing new; let running jobs finish their chunk within `grace` seconds, then cancel them."""
        self._stopping = True
        self._changed.set()
        running, until = list(self._tasks.values()), monotonic() + grace
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                log.warning("job cancelled at stop", job=task.get_name())
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._loop:  # it ends by itself: cancelling would tear a query in two
            await asyncio.wait([self._loop], timeout=max(until - monotonic(), QUERY))
            self._loop.cancel()
            self._loop = None

    def wants_room(self, job: Job) -> bool:
        """Whether a running job should give way: the engine stops, or more important work finds no free worker."""
        if self._stopping:
            return True
        if self._free(job.lane) > 0:
            return False
        now = self._clock()
        return any(
            other.lane == job.lane and other.priority < job.priority and self._ready(other, now)
            for other in self._waiting.values()
        )

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is due now."""
        now = self._clock()
        return not self._running and not self._ask and not any(self._ready(j, now) for j in self._waiting.values())

    # -- the loop
    async def _run(self) -> None:
        while not self._stopping:
            self._changed.clear()
            await self._ask_if_needed()
            self._start_ready()
            try:
                await asyncio.wait_for(self._changed.wait(), timeout=self._pause())
            except TimeoutError:
                continue

    async def _ask_if_needed(self) -> None:
        if not self._ask and self._until_sweep() > 0:
            return
        self._ask = False
        self._asked_at = asyncio.get_running_loop().time()
        try:
            found = {job.key: job for job in await self._pending(self._clock())}
        except Exception:
            log.exception("pending work could not be read; asked again soon")
            self._asked_at -= self._sweep - 1
            return
        for key in self._found - found.keys():
            self._waiting.pop(key, None)
        self._waiting.update(found)
        self._found = set(found)

    def _until_sweep(self) -> float:
        """Seconds until the database is asked again, whoever wakes or does not."""
        if self._asked_at is None:
            return 0.0
        return self._asked_at + self._sweep - asyncio.get_running_loop().time()

    def _start_ready(self) -> None:
        now = self._clock()
        for job in sorted(self._waiting.values(), key=lambda j: (j.priority, j.due)):
            if not self._stopping and self._ready(job, now) and self._free(job.lane) > 0:
                del self._waiting[job.key]
                self._running[job.key] = job
                task = asyncio.create_task(self._perform(job), name=job.key)
                self._tasks[job.key] = task

    def _pause(self) -> float:
        now = self._clock()
        soonest = min(
            (
                max(job.due, self._failures.until(job.key, now) or job.due)
                for job in self._waiting.values()
                if job.key not in self._running and self._free(job.lane) > 0
            ),
            default=None,
        )
        until_sweep = max(self._until_sweep(), 0.01)
        return until_sweep if soonest is None else min(max((soonest - now).total_seconds(), 0.001), until_sweep)

    # -- one job
    async def _perform(self, job: Job) -> None:
        started = asyncio.get_running_loop().time()
        result = "failed"
        try:
            verdict = await self._handlers[job.name](job, _Turn(self, job))
            self._failures.clear(job.key)
            result = "done"
            if isinstance(verdict, Again):
                result = "again"
                self._wait(replace(job, due=verdict.due))
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        except OSError as error:  # the outside fails, such as a locked database: a trace would not help
            seconds = self._failures.note(job, self._clock())
            log.error("job failed", job=job.key, again_in_seconds=seconds, reason=str(error))  # noqa: TRY400
            self._wait(job)
        except Exception:
            seconds = self._failures.note(job, self._clock())
            log.exception("job failed", job=job.key, again_in_seconds=seconds)
            self._wait(job)
        finally:
            self._running.pop(job.key, None)
            self._tasks.pop(job.key, None)
            self._metrics.jobs.labels(job.name, result).inc()
            self._metrics.job_seconds.labels(job.name).observe(asyncio.get_running_loop().time() - started)
            self._changed.set()

    def _wait(self, job: Job) -> None:
        other = self._waiting.get(job.key)
        if other is not None:
            job = replace(job, due=min(job.due, other.due), priority=min(job.priority, other.priority))
        self._waiting[job.key] = job

    def _ready(self, job: Job, now: datetime) -> bool:
        return job.due <= now and job.key not in self._running and self._failures.until(job.key, now) is None

    def _free(self, lane: str) -> int:
        return self._lanes.get(lane, 1) - sum(1 for job in self._running.values() if job.lane == lane)
