"""The clockwork: APScheduler's job table, and the watchers. It only asks the engine for jobs; it decides nothing.

Rules, in order:

1. Each source is polled every `interval` seconds, and at once when its watcher says that something moved. Once an hour
   it is time to tidy up.
2. Each turn of the timetable has a name, the beginning of its interval: where several machines run the same one, the
   first that asks has asked for all. Turns are asked for in the middle of their intervals, so that neither clocks that
   differ a little nor a late start give one interval two turns, or none.
3. What the engine cannot be told now, as its database is away, it is told as soon as that goes; a turn, while it lasts.
4. A job that is late runs once, not once for each time it was missed; the memory store forgets all at stop, since
   the database knows everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import monotonic

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from syndicator.domain.jobs import harvest_job
from syndicator.domain.ports import Clock, Engine, Job, Source
from syndicator.ending import ended
from syndicator.pipeline.tidying import tidy_job

__all__ = ["Scheduler", "turn_of"]

log = structlog.get_logger()

TIDY_SECONDS = 3600.0
WATCH_AGAIN_SECONDS = 5.0
TELL_AGAIN_SECONDS = 1.0
FINISH_SECONDS = 5


class Scheduler:
    """Polls, watches, and says when it is time to tidy. `sources` come with the seconds between their polls."""

    def __init__(self, engine: Engine, *, sources: Mapping[str, tuple[Source, float]], clock: Clock) -> None:
        self._engine = engine
        self._sources = sources
        self._clock = clock
        self._watchers: list[asyncio.Task[None]] = []
        self._at_work: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._table = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    async def start(self) -> None:
        """Poll every source now, then by its interval; begin watching."""
        self._stopping.clear()
        for source, interval in self._sources.values():
            await self._poll(source.name)
            self._every(interval, partial(harvest_job, source.name), f"poll {source.name}")
            self._watchers.append(asyncio.create_task(self._watch(source), name=f"watch {source.name}"))
        self._every(TIDY_SECONDS, tidy_job, "tidy")
        self._table.start()

    async def stop(self) -> None:
        """Stop polling and watching; what is at work is finished, not torn. Safe to call twice."""
        self._stopping.set()
        if self._table.running:
            self._table.pause()
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=FINISH_SECONDS)
            self._table.shutdown(wait=False)
        await ended(*self._watchers)
        self._watchers.clear()

    def _every(self, seconds: float, job: Callable[[datetime], Job], name: str) -> None:
        async def ask() -> None:
            task = asyncio.current_task()
            if task is not None:
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)
            now = self._clock()
            await self._tell(job(now), turn_of(now, seconds), for_seconds=seconds)

        middle = turn_of(self._clock(), seconds).timestamp() + seconds / 2  # one that is over is followed by the next
        first = datetime.fromtimestamp(middle, UTC)
        self._table.add_job(ask, IntervalTrigger(seconds=seconds, start_date=first), id=name, name=name)

    async def _poll(self, source: str) -> None:
        await self._engine.submit(harvest_job(source, self._clock()))

    async def _tell(self, job: Job, turn: datetime | None = None, *, for_seconds: float = inf) -> None:
        """Ask for a job until that goes, or for so long."""
        until, said = monotonic() + for_seconds, False
        while True:
            try:
                return await self._engine.submit(job, turn)
            except OSError as error:
                if not said:
                    log.warning("a job cannot be asked for; tried again", job=job.key, reason=str(error))
                said = True
            if self._stopping.is_set() or monotonic() + TELL_AGAIN_SECONDS >= until:
                return None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TELL_AGAIN_SECONDS)

    async def _watch(self, source: Source) -> None:
        """Harvest at once when the source says that something moved; a watcher that fails is begun again."""
        told = ""
        while True:
            try:
                async for _ in source.watch():
                    told = ""
                    await self._tell(harvest_job(source.name, self._clock()))
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("watching failed; polling goes on", source=source.name, reason=told)
            except Exception:
                log.exception("watching failed; polling goes on", source=source.name)
            else:
                return
            await asyncio.sleep(WATCH_AGAIN_SECONDS)
            await self._tell(harvest_job(source.name, self._clock()))


def turn_of(now: datetime, seconds: float) -> datetime:
    """The beginning of the interval that `now` lies in; intervals are counted from 1970 on, alike everywhere."""
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
