"""What is unfinished, read from the database: the one place that turns its state into jobs.

Rules, in order:

1. Every job follows from rows: scheduled releases, changed feeds, open messages, open batches, deferred deliveries.
   Nothing is remembered elsewhere, so asking again after a crash finds the same work.
2. Keys name the row, so that asking twice makes no second job.
3. What is due later comes with its time: the engine wakes by itself to the second. Batches of a channel that must
   wait are due when it is ready.
4. Other rooms (`Workplace`) are asked as well; one that cannot answer keeps no other from its work.
5. Each kind of work has a lane of its own, each source too: a slow store delays neither embargoes nor retries. So have
   a channel's batches of what failed before (`Priority.LATER`): fresh news always finds a worker.
6. Where several processes share the work, each of its kinds (`pipeline.roles`) is a `Work` of its own: `does` says
   which jobs are its, `channels` whose batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from syndicator.domain.jobs import deliver_job, fanout_job
from syndicator.domain.model import ChannelKind, Priority
from syndicator.domain.ports import Clock, Done, FeedPublisher, Handler, Job, Source, Turn, Verdict, Workplace
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.settling import Settler
from syndicator.store import ledger, releases
from syndicator.store.database import Database

__all__ = ["HERE", "SEAT", "SHARED", "Work"]

log = structlog.get_logger()

SHARED = frozenset({"harvest", "open", "fanout", "deliver", "sweep"})
HERE = frozenset({"feeds", "settle"})
SEAT = frozenset({"deliver"})
PASS_SECONDS = 900  # a source that hangs is left alone and asked again; what was taken stays


class Work:
    """Pending work, and the handlers that do it."""

    def __init__(
        self,
        database: Database,
        *,
        sources: Mapping[str, Source],
        intake: Intake,
        fanout: Fanout,
        delivery: Delivery,
        settler: Settler,
        publisher: FeedPublisher,
        channels: Sequence[ChannelKind],
        clock: Clock,
        wake: Callable[[], None],
        workplaces: Sequence[Workplace] = (),
        does: frozenset[str] = SHARED | HERE,
    ) -> None:
        self._does = does
        self._database = database
        self._sources = sources
        self._intake = intake
        self._fanout = fanout
        self._delivery = delivery
        self._settler = settler
        self._publisher = publisher
        self._channels = channels
        self._clock = clock
        self._wake = wake
        self._workplaces = workplaces

    def handlers(self) -> Mapping[str, Handler]:
        """Every job by name."""
        ours: Mapping[str, Handler] = {
            "harvest": self._harvest,
            "open": self._open,
            "feeds": self._feeds,
            "fanout": self._fanout.fan_out,
            "deliver": self._delivery.deliver,
            "sweep": self._sweep,
            "settle": self._settle,
        }
        return {
            **{name: handler for name, handler in ours.items() if name in self._does},
            **{name: handler for place in self._workplaces for name, handler in place.handlers().items()},
        }

    async def pending(self, now: datetime) -> Sequence[Job]:
        """All that is unfinished now, and the next thing that comes due by itself."""
        jobs = await self._in_the_ledger(now) if self._does & SHARED else []
        if "feeds" in self._does and await self._publisher.stale():
            jobs.append(Job("feeds", "feeds", Priority.URGENT, now, lane="feeds"))
        if "settle" in self._does and self._settler.owes:
            jobs.append(Job("settle", "settle", Priority.URGENT, now, lane="settle"))
        return [*jobs, *await self._elsewhere(now)]

    async def _in_the_ledger(self, now: datetime) -> list[Job]:
        """What rows of releases, messages and deliveries say."""
        jobs: list[Job] = []
        async with self._database.reading() as session:
            due = await releases.next_due(session) if "open" in self._does else None
            messages = await ledger.open_messages(session) if "fanout" in self._does else ()
            batches = await ledger.open_batches(session)
            deferred = await ledger.next_deferred(session) if "sweep" in self._does else None
        if due is not None:
            jobs.append(Job("open", "open", Priority.URGENT, due, lane="open"))
        jobs += [fanout_job(m.id, m.priority, m.again_at or now) for m in messages]
        jobs += [
            deliver_job(b.id, b.channel, b.priority, self._delivery.ready_at(b.channel, now))
            for b in batches
            if b.channel in self._channels
        ]
        if deferred is not None:
            jobs.append(Job("sweep", "sweep", Priority.URGENT, deferred, lane="sweep"))
        return jobs

    async def _elsewhere(self, now: datetime) -> list[Job]:
        jobs: list[Job] = []
        for place in self._workplaces:
            try:
                jobs += await place.pending(now)
            except OSError as error:  # asked again soon, and its jobs follow from what lasts
                log.warning("a room cannot say what is unfinished", room=type(place).__name__, reason=str(error))
            except Exception:  # its own bug: everything else goes on
                log.exception("a room cannot say what is unfinished", room=type(place).__name__)
        return jobs

    async def _harvest(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # a pass is short; its groups commit
        source = self._sources[str(job.args["source"])]
        try:
            async with asyncio.timeout(PASS_SECONDS):
                await self._intake.harvest(source)
        except OSError as error:  # the next poll tries again; what was taken stays
            log.warning("source cannot be read", source=source.name, reason=str(error) or "no answer in time")
        return Done()

    async def _open(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # one transaction
        await self._intake.open_due()
        self._wake()  # the next one comes due at a time of its own
        return Done()

    async def _feeds(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # what is served must be right first
        await self._publisher.refresh(self._clock())
        return Done()

    async def _sweep(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # one transaction
        await self._database.again(lambda session: ledger.sweep(session, self._clock()))
        self._wake()
        return Done()

    async def _settle(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # what is owed is little
        await self._settler.pay()
        return Done()
