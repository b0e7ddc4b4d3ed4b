"""Tidying up, once an hour: a `Workplace` whose job the clockwork asks for.

Rules, in order:

1. Opt-ins that were never confirmed in time are ended, closed batches deleted, some at a time, and what was written to
   a bot that nobody speaks for; then comes what else is to be done once an hour (`hourly`). What fails of that is
   said, and the rest is done all the same.
2. Whatever is done goes in small transactions, so it may be ended anywhere; the next hour goes on. Told to give way, it
   is given a moment, and then torn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from syndicator.domain.model import Priority
from syndicator.domain.ports import Clock, Done, Handler, Job, Turn, Verdict
from syndicator.store import ledger, subscriptions, telegram_updates
from syndicator.store.database import Database

__all__ = ["Tidying", "tidy_job"]

log = structlog.get_logger()

JOB = "tidy"
LOOK_SECONDS = 0.5  # between two questions whether to give way
FINISH_SECONDS = 5.0


def tidy_job(now: datetime) -> Job:
    """One pass."""
    return Job(JOB, JOB, Priority.LATER, now, lane=JOB)


class Tidying:
    """The workplace. `pending_for` is how long somebody may take to confirm."""

    def __init__(
        self,
        database: Database,
        *,
        pending_for: timedelta,
        clock: Clock,
        hourly: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._database = database
        self._pending_for = pending_for
        self._clock = clock
        self._hourly = hourly

    def handlers(self) -> Mapping[str, Handler]:
        """Its one job."""
        return {JOB: self._tidy}

    async def pending(self, now: datetime) -> Sequence[Job]:  # noqa: ARG002  # the clock says when, no row does
        """Nothing: it is asked for by the clockwork."""
        return ()

    async def tidy(self) -> None:
        """Rule 1."""
        for job in (self._end_stale, self._forget_batches, self._forget_updates, *self._hourly):
            name = getattr(job, "__qualname__", type(job).__name__)
            try:
                await job()
            except OSError as error:
                log.warning("an hourly job failed; the next hour tries again", job=name, reason=str(error))
            except Exception:  # whatever it is, it must not stop the others
                log.exception("an hourly job failed", job=name)

    async def _tidy(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `tidy`, by rule 2."""
        work = asyncio.create_task(self.tidy(), name="tidying")
        try:
            while not work.done():
                await asyncio.wait([work], timeout=LOOK_SECONDS)
                if turn.should_yield():
                    await asyncio.wait([work], timeout=FINISH_SECONDS)
                    break
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return Done()

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

    async def _forget_updates(self) -> None:
        """Delete what no bot came for."""
        async with self._database.writing() as session:
            forgotten = await telegram_updates.forget(session, self._clock())
        if forgotten:
            log.warning("telegram: nobody came for what the bot was told; it is deleted", count=forgotten)
