"""Digests and rests by the clock: windows that close, and pauses that end, found in the tables like all other work.

Rules, in order:

1. Each (cadence, zone) with active subscriptions has a window that closes at a time of its readers' own clock
   (`domain.windows`). It is told once `GRACE` has passed: by then languages have settled, and a clock that is set right
   by a moment does not reach back behind it.
2. A window that was told has a run, unique in the database: however often the process dies, whatever the clock does,
   and with two processes it is one. A window in which nothing came out leaves no trace.
3. Missed ones are made up by one digest, `reach` back at most. So is what came out in a window that a clock which ran
   ahead had closed by then (`store.digests`, rule 6).
4. What this room keeps in mind saves questions only: who waits for digests, for some minutes; which windows it has seen
   to. Who newly subscribes is asked for alone.
5. A pause that its reader asked for ends at its time, and what came out before it is told then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from config.settings import DigestSettings
from syndicator.domain.model import Cadence, Priority
from syndicator.domain.ports import Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.windows import DAYS, Schedule
from syndicator.store import catching_up, digests, restored, subscriptions
from syndicator.store.database import Database

__all__ = ["GRACE", "Digests", "schedule_of"]

log = structlog.get_logger()

GRACE = timedelta(seconds=60)  # from the close of a window until it is told
EVER = datetime.min.replace(tzinfo=UTC)
MIND = timedelta(minutes=5)  # how long the answer to who waits for digests is good

Group = tuple[Cadence, str]


def schedule_of(settings: DigestSettings) -> Schedule:
    """When windows close."""
    return Schedule(settings.at, DAYS.index(settings.weekly_on))


class Digests:
    """A `Workplace`: closes windows (`digests`) and ends rests (`rests`)."""

    def __init__(self, database: Database, settings: DigestSettings, *, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._schedule = schedule_of(settings)
        self._reach = settings.reach
        self._clock = clock
        self._wake = wake
        self._groups: Mapping[Group, ZoneInfo] = {}
        self._asked_at: datetime | None = None
        self._newest = -1  # the last subscription there was then
        self._seen: dict[Group, datetime] = {}  # the close that was seen to

    def handlers(self) -> Mapping[str, Handler]:
        """Its jobs by name."""
        return {"digests": self._close_due, "rests": self._end_rests}

    async def pending(self, now: datetime) -> Sequence[Job]:
        """The next window to tell, and the next rest that ends."""
        resumes = await self._ask(now)
        jobs = [Job("rests", "rests", Priority.URGENT, resumes, lane="digests")] if resumes else []
        due = [self._due(group, zone, now) for group, zone in self._groups.items()]
        if due:
            jobs.append(Job("digests", "digests", Priority.NORMAL, min(due), lane="digests"))
        return jobs

    def _due(self, group: Group, zone: ZoneInfo, now: datetime) -> datetime:
        """When to look at that group: now if its latest window was not seen to, else after the next close."""
        ripe = now - GRACE
        if self._seen.get(group) != self._schedule.latest(group[0], zone, ripe):
            return now
        return self._schedule.following(group[0], zone, ripe) + GRACE

    async def _ask(self, now: datetime) -> datetime | None:
        """When the next rest ends; and who waits for digests, if that may have changed."""
        async with self._database.reading() as session:
            newest = await digests.newest_subscription(session)
            known = self._asked_at is not None and self._asked_at <= now < self._asked_at + MIND
            if not known:
                self._groups = dict(_zoned(await digests.groups(session)))
                self._asked_at = now
            elif newest != self._newest:
                self._groups = {**self._groups, **dict(_zoned(await digests.groups(session, self._newest)))}
            self._newest = newest
            return await subscriptions.next_resume(session)

    async def _close_due(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # a window is one short transaction
        now = self._clock()
        ripe = now - GRACE
        await self._ask(now)
        async with self._database.writing() as session:
            if struck := await digests.strike(session, now):
                log.warning("digests of windows that have not closed yet: the clock was set back", runs=struck)
        for (cadence, name), zone in self._groups.items():
            await self._close(cadence, name, zone, ripe, now)
        self._wake()
        return Done()

    async def _close(self, cadence: Cadence, name: str, zone: ZoneInfo, ripe: datetime, now: datetime) -> None:
        async with self._database.writing() as session:
            told = await digests.last_end(session, cadence, name)
            if lost := await restored.of(session):  # empty windows leave no run; the lost service has closed them
                told = max(told or EVER, self._schedule.latest(cadence, zone, lost.until))
            window = self._schedule.due(cadence, zone, ripe, told=told, reach=self._reach)
            made = None
            if window is not None:
                since = window.ends_at - self._reach
                made = await digests.close(session, cadence, name, window, now, since=since)
        if window is not None and made is not None:
            begins, ends = window.begins_at.isoformat(), window.ends_at.isoformat()
            log.info("digest", cadence=cadence.value, zone=name, begins=begins, ends=ends, releases=made)
        self._seen[cadence, name] = self._schedule.latest(cadence, zone, ripe)

    async def _end_rests(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # one transaction
        async with self._database.writing() as session:
            now = self._clock()
            ended = await subscriptions.resume_due(session, now)
            await catching_up.reopen(session, ended, now, self._reach)
        log.info("pauses ended that had been asked for", people=len(ended))
        self._wake()
        return Done()


def _zoned(groups: Sequence[Group]) -> Sequence[tuple[Group, ZoneInfo]]:
    """The groups with their zones; one that this machine does not know is said, and left out."""
    found = []
    for group in groups:
        try:
            found.append((group, ZoneInfo(group[1])))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            log.warning("no digests in a time zone that this machine does not know", zone=group[1])
    return found
