"""The clockwork: APScheduler's job table, and the watchers. It only wakes the engine; it decides nothing.

Rules, in order:

1. Each source is polled every `interval` seconds, and at once when its watcher says that something moved.
2. What other commands write to the same SQLite file is noticed within half a second (`PRAGMA data_version`).
3. Once an hour, opt-ins that were never confirmed in time are ended, closed batches deleted, some at a time, and then
   what else is to be done once an hour (`hourly`). What fails of that is said, and the rest is done all the same.
4. A job that is late runs once, not once for each time it was missed; the memory store forgets all at stop, since
   the database knows everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from syndicator.domain.jobs import harvest_job
from syndicator.domain.ports import Clock, Engine, Source
from syndicator.store import ledger, subscriptions
from syndicator.store.database import Database

__all__ = ["Scheduler"]

log = structlog.get_logger()

DATA_VERSION_SECONDS = 0.5
TIDY_SECONDS = 3600
WATCH_AGAIN_SECONDS = 5
FINISH_SECONDS = 5


class Scheduler:
    """Polls, watches and tidies. `sources` come with the seconds between their polls."""

    def __init__(
        self,
        engine: Engine,
        database: Database,
        *,
        sources: Mapping[str, tuple[Source, float]],
        pending_for: timedelta,
        clock: Clock,
        hourly: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._engine = engine
        self._database = database
        self._sources = sources
        self._pending_for = pending_for
        self._clock = clock
        self._hourly = hourly
        self._data_version = 0
        self._watchers: list[asyncio.Task[None]] = []
        self._at_work: set[asyncio.Task[None]] = set()
        self._table = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    async def start(self) -> None:
        """Poll every source now, then by its interval; begin watching."""
        for source, interval in self._sources.values():
            await self._poll(source.name)
            self._every(interval, self._poll, f"poll {source.name}", source.name)
            self._watchers.append(asyncio.create_task(self._watch(source), name=f"watch {source.name}"))
        self._every(DATA_VERSION_SECONDS, self._look_for_writes, "writes of other commands")
        self._every(TIDY_SECONDS, self.tidy, "tidy")
        self._table.start()

    async def stop(self) -> None:
        """Stop polling and watching; what is at work is finished, not torn. Safe to call twice."""
        if self._table.running:
            self._table.pause()
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=FINISH_SECONDS)
            self._table.shutdown(wait=False)
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers.clear()

    async def tidy(self) -> None:
        """Rule 3."""
        for job in (self._end_stale, self._forget_batches, *self._hourly):
            name = getattr(job, "__qualname__", type(job).__name__)
            try:
                await job()
            except OSError as error:
                log.warning("an hourly job failed; the next hour tries again", job=name, reason=str(error))
            except Exception:  # whatever it is, it must not stop the others
                log.exception("an hourly job failed", job=name)

    async def _end_stale(self) -> None:
        """End opt-ins that were never confirmed."""
        now = self._clock()
        async with self._database.writing() as session:
            ended = await subscriptions.end_stale_pending(session, now - self._pending_for, now)
        if ended:
            log.info("unconfirmed subscriptions ended", count=ended)

    async def _forget_batches(self) -> None:
        """Delete batches that are closed."""
        forgotten = 1
        while forgotten:
            async with self._database.writing() as session:
                forgotten = await ledger.forget_closed(session)

    def _every(self, seconds: float, job: Callable[..., Awaitable[None]], name: str, *args: object) -> None:
        async def work() -> None:
            task = asyncio.current_task()
            if task is not None:
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)
            await job(*args)

        self._table.add_job(work, IntervalTrigger(seconds=seconds), id=name, name=name)

    async def _poll(self, source: str) -> None:
        await self._engine.submit(harvest_job(source, self._now()))

    async def _look_for_writes(self) -> None:
        version = await self._database.data_version()
        if version != self._data_version:
            self._data_version = version
            self._engine.wake()

    async def _watch(self, source: Source) -> None:
        """Harvest at once when the source says that something moved; a watcher that fails is begun again."""
        told = ""
        while True:
            try:
                async for _ in source.watch():
                    told = ""
                    await self._poll(source.name)
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("watching failed; polling goes on", source=source.name, reason=told)
            else:
                return
            await asyncio.sleep(WATCH_AGAIN_SECONDS)
            await self._poll(source.name)

    def _now(self) -> datetime:
        return self._clock()
