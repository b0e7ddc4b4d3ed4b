"""Keeps in the database what pace must not forget, and looks at what comes back. All I/O of pace is here.

Rules, in order:

1. At the start it takes up pauses and what was taken today. While an address is warmed up the ledger is asked as well:
   what a crash kept from being written down is sent mail all the same, and the day's cap holds.
2. Once a second it writes what is new, in one short transaction, and nothing where nothing is. What cannot be written
   is written later.
3. Every five seconds it reads what other processes sent, while an address is warmed up, and whether an operator has
   lifted a pause, while one holds that was written down.
4. Once a minute it compares what came back with what was sent, today and yesterday: an alarm is a line in the log and a
   gauge (`alarm`).
5. Told to stop, it ends what it is writing: a count that is committed and not taken note of would be written twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, time, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bots.email.pace.alarm import Alarms
from bots.email.pace.pace import Pace, Pause
from syndicator.domain.ports import Clock
from syndicator.metrics import Metrics
from syndicator.store import mail_days, pauses
from syndicator.store.database import Database

__all__ = ["Keeper"]

TICK = 1.0
OTHERS = timedelta(seconds=5)
LOOK = timedelta(minutes=1)

log = structlog.get_logger()


class Keeper:
    """A part of the service; see the module."""

    def __init__(self, pace: Pace, database: Database, *, clock: Clock, metrics: Metrics) -> None:
        self._pace = pace
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._alarms = Alarms()
        self._pauses: list[Pause] = []
        self._kept: dict[str, datetime] = {}  # what stands in the database, by scope, and until when
        self._asked_at: datetime | None = None
        self._read_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._ends = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what was kept, and go on keeping."""
        await self.restore(self._clock())
        self._ends.clear()
        self._watch = asyncio.create_task(self._run(), name="mail-pace")

    async def stop(self) -> None:
        """Write the last; safe to call twice."""
        if self._watch is None:
            return
        self._ends.set()
        await asyncio.wait([self._watch])
        self._watch = None
        await self.keep(self._clock())

    async def restore(self, now: datetime) -> None:
        """Rule 1."""
        warm_up = self._pace.warm_up
        today = warm_up.day(now.timestamp())
        begins = datetime.combine(today, time.min, warm_up.zone)
        async with self._database.reading() as session:
            kept = await pauses.all(session)
            taken = (await mail_days.taken(session, today)).get(today, 0)
            if not warm_up.is_over(now.timestamp()):
                taken = max(taken, await mail_days.settled_since(session, begins))
        self._pace.restore([Pause(*one) for one in kept], now)
        self._kept = {scope: until for scope, until, _ in kept if until > now}
        warm_up.know(today, taken)

    async def keep(self, now: datetime) -> None:
        """Rules 2 to 4, once."""
        try:
            await self._write()
            await self._read(now)
            await self._heed(now)
            await self._look(now)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the pace of mail cannot be kept yet", reason=type(error).__name__)
        for state, number in self._pace.counts(now).items():
            self._metrics.mail_domains.labels(state).set(number)

    async def _run(self) -> None:
        while not self._ends.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), TICK)
                return  # `stop` keeps the last
            try:
                await self.keep(self._clock())
            except Exception:
                log.exception("the pace of mail cannot be kept")

    async def _write(self) -> None:
        self._pauses += self._pace.unkept()
        fresh = self._pace.warm_up.unwritten()
        if not self._pauses and not fresh:
            return
        totals: dict[object, int] = {}
        async with self._database.writing() as session:
            for one in self._pauses:
                await pauses.pause(session, one.scope, one.until, one.reason)
            for day, number in fresh.items():
                totals[day] = await mail_days.add(session, day, number)
        self._kept |= {one.scope: one.until for one in self._pauses}
        self._pauses.clear()
        for day, number in fresh.items():
            self._pace.warm_up.written(day, number, totals[day])

    async def _read(self, now: datetime) -> None:
        warm_up = self._pace.warm_up
        if warm_up.is_over(now.timestamp()) or not _is_due(self._read_at, now, OTHERS):
            return
        self._read_at = now
        today = warm_up.day(now.timestamp())
        async with self._database.reading() as session:
            taken = await mail_days.taken(session, today)
        warm_up.know(today, taken.get(today, 0))

    async def _heed(self, now: datetime) -> None:
        """Rule 3: what an operator has lifted."""
        self._kept = {scope: until for scope, until in self._kept.items() if until > now}
        if not self._kept or not _is_due(self._asked_at, now, OTHERS):
            return
        self._asked_at = now
        async with self._database.reading() as session:
            hold = {scope for scope, until, _ in await pauses.all(session) if until > now}
        for scope in self._kept.keys() - hold:
            del self._kept[scope]
            self._pace.lift(scope, now)
            log.info("a pause of mail is lifted", scope=scope)

    async def _look(self, now: datetime) -> None:
        if not _is_due(self._looked_at, now, LOOK):
            return
        self._looked_at = now
        warm_up = self._pace.warm_up
        yesterday = warm_up.day(now.timestamp()) - timedelta(days=1)
        since = datetime.combine(yesterday, time.min, warm_up.zone)
        async with self._database.reading() as session:
            sent = sum((await mail_days.taken(session, yesterday)).values())
            back = await mail_days.came_back(session, since)
        for alarm in self._alarms.look(sent, back, now):
            log.error(
                "much mail comes back: receivers may begin to refuse all of it; look at where these addresses are from",
                kind=alarm.kind.value,
                share=round(alarm.share, 4),
                bar=alarm.bar,
                sent=alarm.sent,
            )
        for kind, share in self._alarms.shares.items():
            self._metrics.mail_shares.labels(kind.value).set(share)


def _is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    return last is None or not timedelta() <= now - last < every
