"""Keeps in the database what pace must not forget, and looks at what comes back. All I/O of pace is here.

Rules, in order:

1. At the start it takes up pauses and what was taken today. While an address is warmed up the ledger is asked as well:
   what a crash kept from being written down is sent mail all the same, and the day's cap holds.
2. Once a second it writes what is new, in one short transaction, and nothing where nothing is. What cannot be written
   is written later.
3. Every five seconds it reads what other processes sent, while an address is warmed up, and whether an operator has
   lifted a pause, while one holds that was written down. Where several processes send, it reads all that every two
   seconds, and the pauses that the others have written: all know of a pause within five seconds.
4. Once a minute it compares what came back with what was sent, today and yesterday: an alarm is a line in the log and a
   gauge (`alarm`).
5. Where several processes send (`rate`), it says every two seconds that this one is here, and learns who is: that
   divides what domains and a warm-up's day may get. Who comes to others has no share before they all know (`JOINING`);
   who could not say so for `BELIEVED` has none any more, before the others count it out (`HERE`).
6. Told to stop, it ends what it is writing: a count that is committed and not taken note of would be written twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time, timedelta
from time import monotonic
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bots.email.pace.alarm import Alarms
from bots.email.pace.budget import SharedRate
from bots.email.pace.pace import Pace, Pause
from bots.email.pace.share import NO_SHARE, Share
from syndicator.domain.ports import Clock
from syndicator.metrics import Metrics
from syndicator.store import mail_days, pauses, presence
from syndicator.store.database import Database

__all__ = ["Keeper"]

TICK = 1.0
OTHERS = timedelta(seconds=5)
OTHERS_SHARING = timedelta(seconds=2)
HERE = timedelta(seconds=15)
BELIEVED = 11.0  # seconds; what is under way then has had time to be answered
JOINING = 13.0  # seconds: until then each other has heard of us, or believes no more in the share that it had
KIND = "mail"
LOOK = timedelta(minutes=1)

log = structlog.get_logger()


class Keeper:
    """A part of the service; see the module."""

    def __init__(
        self,
        pace: Pace,
        database: Database,
        *,
        clock: Clock,
        metrics: Metrics,
        rate: SharedRate | None = None,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._pace = pace
        self._rate = rate
        self._ticks = ticks
        self._others = OTHERS if rate is None else OTHERS_SHARING
        self._who = uuid4().hex
        self._shares_from: float | None = None  # by `ticks`; None: nobody knows of us
        self._seen_at: float | None = None
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._alarms = Alarms()
        self._pauses: list[Pause] = []
        self._kept: dict[str, datetime] = {}  # what stands in the database, by scope, and until when
        self._asked_at: datetime | None = None
        self._read_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._failing = False
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
        if self._rate is not None:
            await self._leave()

    async def restore(self, now: datetime) -> None:
        """Rule 1."""
        warm_up = self._pace.warm_up
        today = warm_up.day(now.timestamp())
        begins = datetime.combine(today, time.min, warm_up.zone)
        async with self._database.reading() as session:
            kept = await pauses.of_mail(session, now)
            taken = (await mail_days.taken(session, today)).get(today, 0)
            if not warm_up.is_over(now.timestamp()):
                taken = max(taken, await mail_days.settled_since(session, begins))
        self._pace.restore([Pause(*one) for one in kept], now)
        self._kept = {scope: until for scope, until, _ in kept}
        warm_up.know(today, taken)

    async def keep(self, now: datetime) -> None:
        """Rules 2 to 5, once."""
        try:
            await self._write()
            await self._divide()
            await self._read(now)
            await self._heed(now)
            await self._look(now)
        except (SQLAlchemyError, OSError) as error:
            if not self._failing:
                log.warning("the pace of mail cannot be kept yet", reason=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.info("the pace of mail is kept again")
            self._failing = False
        if self._rate is not None and (self._seen_at is None or self._ticks() - self._seen_at > BELIEVED):
            self._shares_from = None
            self._pace.share(NO_SHARE)
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
        if warm_up.is_over(now.timestamp()) or not _is_due(self._read_at, now, self._others):
            return
        self._read_at = now
        today = warm_up.day(now.timestamp())
        async with self._database.reading() as session:
            taken = await mail_days.taken(session, today)
        warm_up.know(today, taken.get(today, 0))

    async def _heed(self, now: datetime) -> None:
        """Rule 3: what an operator has lifted, and what others were told."""
        self._kept = {scope: until for scope, until in self._kept.items() if until > now}
        if not (self._kept or self._rate) or not _is_due(self._asked_at, now, self._others):
            return
        self._asked_at = now
        async with self._database.reading() as session:
            hold = {one[0]: Pause(*one) for one in await pauses.of_mail(session, now)}
        for scope in self._kept.keys() - hold:
            del self._kept[scope]
            self._pace.lift(scope, now)
            log.info("a pause of mail is lifted", scope=scope)
        if self._rate is not None:
            news = [one for scope, one in hold.items() if one.until > self._kept.get(scope, now)]
            self._pace.restore(news, now)
            self._kept |= {one.scope: one.until for one in news}

    async def _divide(self) -> None:
        """Rule 5."""
        if self._rate is None:
            return
        await self._rate.pay()
        begun = self._ticks()
        if self._seen_at is not None and begun - self._seen_at < OTHERS_SHARING.total_seconds():
            return
        async with self._database.writing() as session:
            here = await presence.stay(session, KIND, self._who, HERE)
        self._seen_at = begun
        if self._shares_from is None:
            self._shares_from = begun + (JOINING if len(here) > 1 else 0.0)
        if self._shares_from <= begun:
            self._pace.share(Share(here.index(self._who), len(here)))

    async def _leave(self) -> None:
        self._seen_at = self._shares_from = None
        self._pace.share(NO_SHARE)
        if self._rate is not None:
            await self._rate.stop()
        try:
            async with self._database.writing() as session:
                await presence.leave(session, KIND, self._who)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the others learn later that we send no more", reason=type(error).__name__)

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
