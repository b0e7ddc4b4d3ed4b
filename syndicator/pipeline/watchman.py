"""The watchman: looks once a minute whether something needs a person, and tells them: once, and once when it is over.

Rules, in order:

1. It runs beside the engine and not by it: what it watches could not tell that it stands still. Every process has one,
   so that a scheduler which is gone is missed by the others; one row an alarm makes all of them one voice.
2. What to think of what is seen is decided by `watching` alone.
3. Telling takes neither ledger nor queue: these may be what is in trouble. It is claimed in the database first; where
   nobody could be told, the claim is given back and the next look tries again.
4. A database that does not answer is told by each process for itself, from memory.
5. Everything told stands in the log as well, and what is live in the metrics.
6. A look that fails is no reason to stop looking.
7. Looking takes little: each process looks at a time of its own, and what took long to count is not counted again for a
   hundred times as long, ten minutes at most; meanwhile nothing is thought of it.
8. Whether its own feeds are right only a process that serves some can tell; at each look it says that it is here. An
   alarm about feeds of a process that is not here any more is over; only who has looked for as long may say so.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import Clock, FeedPublisher
from syndicator.ending import ended
from syndicator.metrics import Metrics
from syndicator.pipeline.watching import (
    KINDS,
    BadNews,
    Notice,
    Sight,
    feeds_name,
    is_settled,
    judge,
    kind_of,
    message_key,
    notice,
)
from syndicator.store import alarms, completeness, presence, watched
from syndicator.store.database import Database
from syndicator.store.watched import Reach

__all__ = ["Herald", "Watchman"]

log = structlog.get_logger()

EVERY = 60.0  # seconds
SHARE = 100  # of its time that a question about completeness may take
LONGEST = timedelta(minutes=10)
HERE = timedelta(minutes=5)  # that a process with feeds has said it is here
WINDOW = timedelta(days=2)  # releases of which it is asked anew whether they arrived
PEOPLE = (ChannelKind.EMAIL, ChannelKind.TELEGRAM)


class Herald(Protocol):
    """A way to tell an operator something, apart from the ledger."""

    name: str

    async def tell(self, notice: Notice) -> None:
        """Tell it now.

        Raises:
            OSError: it could not be told; one line, without a secret.
        """
        ...

    async def ask(self) -> str:
        """Whether they could be told, as far as that shows without telling them: one line.

        Raises:
            OSError: they could not; one line, without a secret.
        """
        ...


class Watchman:
    """See the module's rules; a `Part`.

    `intervals` are the seconds between two passes over each source, `order` the site's languages, `publisher` is that
    of a process that serves feeds, `machine` its own name where there are several.
    """

    def __init__(
        self,
        database: Database,
        *,
        heralds: Sequence[Herald],
        after: timedelta,
        intervals: Mapping[str, float],
        order: Sequence[str],
        host: str,
        clock: Clock,
        metrics: Metrics,
        publisher: FeedPublisher | None = None,
        machine: str = "",
    ) -> None:
        self._database = database
        self._heralds = heralds
        self._after = after
        self._intervals = intervals
        self._order = order
        self._host = host
        self._clock = clock
        self._metrics = metrics
        self._publisher = publisher
        self._machine = machine
        self._began = clock()
        self._least = 0  # the first message that is young enough
        self._reached: set[tuple[int, ChannelKind]] = set()  # for good: what was sent stays sent
        self._asked: dict[tuple[int, ChannelKind], datetime] = {}  # when it is asked again
        self._looked: tuple[datetime, datetime] | None = None  # since when without a gap, and when last
        self._rests: dict[int, datetime] = {}  # when each message's rows are counted again
        self._trouble_since: datetime | None = None
        self._trouble_told = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin looking."""
        self._began = self._clock()
        self._task = asyncio.create_task(self._watch(), name="watchman")

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def look(self, now: datetime) -> None:
        """One look, and whatever is to be told after it. Failures are logged (rule 6)."""
        try:
            live = await self._see(now)
        except OSError as error:
            await self._without_database(now, str(error))
        except Exception:
            log.exception("the watchman could not look; the next look tries again")
        else:
            self._show(live)
            await self._with_database(now)

    async def _watch(self) -> None:
        await asyncio.sleep(EVERY * random.random())  # noqa: S311  # nobody has to guess it
        while True:
            await asyncio.sleep(EVERY)
            await self.look(self._clock())

    # -- what is so
    async def _see(self, now: datetime) -> Collection[str]:
        """Look, write down what has begun and what is over, tell it; returns what is live."""
        async with self._database.reading() as session:
            before = await alarms.live(session)
        if not is_settled(self._began, now):
            return before
        sight = await self._sight(now, {message_key(name) for name in before} - {""})
        judged = judge(
            sight,
            now=now,
            began=self._began,
            after=self._after,
            intervals=self._intervals,
            machine=self._machine,
        )
        found = {one.name: one for one in judged.found}
        gone = await self._gone(before, now)
        over = [
            name
            for name in before
            if name not in found and name not in judged.unsure and (kind_of(name) != "feeds" or self._is_ours(name))
        ]
        over += [name for name in gone if name not in over]
        untold = [name for name in found if name not in before or not before[name].told]
        if not over and not untold:
            return before
        await self._settle(found, untold, over, now)
        return (before.keys() | found.keys()) - set(over)

    def _is_ours(self, name: str) -> bool:
        return self._publisher is not None and name == feeds_name(self._machine)

    async def _gone(self, live: Collection[str], now: datetime) -> Sequence[str]:
        """Rule 8: live alarms about feeds of processes that are not here any more."""
        since, last = self._looked or (now, now)
        self._looked = (since if timedelta(0) <= now - last < HERE else now), now
        theirs = [name for name in live if kind_of(name) == "feeds" and not self._is_ours(name)]
        if not self._machine:  # it has the database to itself
            return theirs if self._publisher is not None else []
        here = await self._here(now)
        return [name for name in theirs if name not in here] if now - self._looked[0] >= HERE else []

    async def _here(self, now: datetime) -> Collection[str]:
        """The alarms about feeds that processes which are here might have raised."""
        if self._publisher is None:
            async with self._database.reading() as session:
                return {feeds_name(one) for one in await presence.here(session, "feeds", _one_clock(session, now))}
        async with self._database.writing() as session:
            present = await presence.stay(session, "feeds", self._machine, HERE, _one_clock(session, now))
        return {feeds_name(one) for one in present}

    async def _sight(self, now: datetime, keys: Collection[str]) -> Sight:
        until = now - self._after
        async with self._database.reading() as session:
            self._least = await watched.first_since(session, now - WINDOW, self._least)
            messages = await watched.on_their_way(session, self._least, until, keys)
            reached = {one.id: await self._how_far(session, one.id, now) for one in messages}
            chats = {one.id: await watched.chats_waiting(session, one.id) for one in messages}
            passes = await watched.passes(session)
            bad = await watched.bad_documents(session)
            unopened = await watched.unopened(session, until)
        ways = {(one.id, channel) for one in messages for channel in PEOPLE}
        self._reached &= ways
        self._asked = {way: again for way, again in self._asked.items() if way in ways}
        self._rests = {one.id: self._rests[one.id] for one in messages if one.id in self._rests}
        releases = [one.id for one in messages if one.kind is MessageKind.RELEASE and one.fanned_out]
        return Sight(
            on_their_way=messages,
            reached=reached,
            chats_wait=chats,
            missed={one: await self._missed(one, now) for one in releases},
            unopened=unopened,
            passes=passes,
            bad=bad,
            feeds_right_at=self._publisher.newest() if self._publisher else None,
            has_feeds=self._publisher is not None,
        )

    async def _missed(self, message: int, now: datetime) -> int | None:
        """How many are missed; None while it is too early to ask again (rule 7)."""
        if now < self._rests.get(message, now) <= now + LONGEST:
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await completeness.missed(self._database, message, PEOPLE, self._order)
        took = timedelta(seconds=loop.time() - began)
        self._rests[message] = now + min(SHARE * took, LONGEST)
        return found

    async def _how_far(self, session: AsyncSession, message: int, now: datetime) -> Mapping[ChannelKind, Reach | None]:
        return {channel: await self._reach(session, (message, channel), now) for channel in PEOPLE}

    async def _reach(self, session: AsyncSession, way: tuple[int, ChannelKind], now: datetime) -> Reach | None:
        """How far that message has come by that channel; None while it is too early to ask again (rule 7)."""
        if way in self._reached:
            return Reach.ARRIVED
        if now < self._asked.get(way, now) <= now + LONGEST:
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await watched.people_reached(session, *way, now - self._after)
        if found is Reach.ARRIVED:
            self._reached.add(way)
        self._asked[way] = now + min(SHARE * timedelta(seconds=loop.time() - began), LONGEST)
        return found

    # -- telling
    async def _settle(
        self, found: Mapping[str, BadNews], untold: Collection[str], over: Collection[str], now: datetime
    ) -> None:
        async with self._database.writing() as session:
            begun = await alarms.raise_all(session, [found[name] for name in untold])
            claimed = await alarms.claim(session, untold, now)
            ended = await alarms.end(session, over, now)
        raised = [found[name] for name in untold if name in claimed]
        for one in raised:
            if one.name in begun:
                log.error("alarm", alarm=one.name, said=one.said, since=one.since.isoformat())
        for one in ended:
            log.info("alarm over", alarm=one.name, said=one.said)
        told = [one for one in ended if one.told]
        if (raised or told) and not await self._tell(notice(self._host, raised, told)):
            async with self._database.writing() as session:
                await alarms.give_back(session, claimed, now)
                await alarms.unend(session, [one.name for one in told], now)

    async def _tell(self, said: Notice) -> bool:
        """Whether anybody could be told, or nobody is to be."""
        reached = not self._heralds
        for herald in self._heralds:
            try:
                await herald.tell(said)
                reached = True
            except OSError as error:
                log.error("an alarm could not be told; tried again", by=herald.name, reason=str(error))  # noqa: TRY400
            except Exception:  # the other one may work
                log.exception("an alarm could not be told; tried again", by=herald.name)
        return reached

    async def _without_database(self, now: datetime, reason: str) -> None:
        """Rule 4."""
        self._trouble_since = min(self._trouble_since or now, now)
        if self._trouble_told or now - self._trouble_since < min(self._after, timedelta(minutes=5)):
            return
        said = self._database_news(reason)
        log.error("alarm", alarm=said.name, said=said.said)
        self._metrics.alarms.labels("database").set(1)
        self._trouble_told = await self._tell(notice(self._host, [said], []))

    async def _with_database(self, now: datetime) -> None:  # noqa: ARG002  # as its counterpart
        if self._trouble_told and not await self._tell(notice(self._host, [], [self._database_news("")])):
            return
        if self._trouble_told:
            log.info("alarm over", alarm="database")
        self._trouble_since, self._trouble_told = None, False

    def _database_news(self, reason: str) -> BadNews:
        where = f" {self._machine}" if self._machine else ""
        because = f" ({reason[:200]})" if reason else ""
        return BadNews("database", f"the database does not answer{where}{because}", self._trouble_since or self._began)

    def _show(self, live: Collection[str]) -> None:
        counted = Counter(kind_of(name) for name in live)
        for kind in KINDS:
            self._metrics.alarms.labels(kind).set(counted[kind])


def _one_clock(session: AsyncSession, now: datetime) -> datetime | None:
    """What `presence` is told: where several processes are, the database's clock counts."""
    return None if session.get_bind().dialect.name == "postgresql" else now
