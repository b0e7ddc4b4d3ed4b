"""The hub's work, beside answering: asking callbacks, telling news of feeds, and tidying. A `Workplace`.

Rules, in order:

1. News follows from comparing what is served now with what was told last: nothing is remembered, nothing can be lost
   between a feed's change and its news. Custom feeds are made anew only when the store has changed. What was told of a
   later change of the store than this machine's feeds stand at is no news: the machine is behind the one that told it.
2. Other hubs are told of every stream; for our own subscribers only what somebody listens to is looked at.
3. Streams are told by one job, custom feeds by another, which takes longer. A feed that cannot be made or told just now
   holds up no other: it is said in the log, and looked at again after a while of its own.
4. A feed that is no more (a topic or a language that was dropped or renamed) ends its leases, and their callbacks are
   told so: `hub.mode=denied` (section 5.2). So do all feeds once the site is no hub any more.
5. Leases end when their time is over; once an hour, what is long over is forgotten, and what a clock that ran ahead has
   put off is mended.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from feeds.hub_asking import challenge
from feeds.hub_topics import Topics, is_custom
from feeds.hub_verifying import Verifier
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.retry import backoff
from syndicator.domain.site import Site
from syndicator.net import Outgoing
from syndicator.store import hub, hub_news, hub_requests
from syndicator.store.database import Database
from syndicator.store.hub import Ended
from syndicator.store.hub_news import HORIZON, Topic
from syndicator.store.hub_requests import Mode, Wish

__all__ = ["Hub"]

log = structlog.get_logger()

TIDY = timedelta(hours=1)
LONGEST = timedelta(minutes=5)  # a feed that cannot be told is looked at again at least this often
GONE = "the feed is no more"
CLOSED = "this site is no hub any more"
STEPS = 200  # of forgetting, in one job


@dataclass(slots=True)
class _Trouble:
    """How often in a row a feed could not be told, and until when it is left alone."""

    times: int
    until: datetime


class Hub:
    """The workplace. `hubs` are others' addresses, which are told of every stream; `takes` says whether we are one."""

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        topics: Topics,
        site: Site,
        *,
        hubs: Sequence[str],
        clock: Clock,
        wake: Callable[[], None],
        takes: bool = True,
    ) -> None:
        self._database, self._topics, self._site, self._takes = database, topics, site, takes
        self._hubs, self._clock, self._wake = tuple(hubs), clock, wake
        self._tidied: datetime | None = None
        self._troubled: dict[str, _Trouble] = {}
        self._verifier = Verifier(database, outgoing, topics, site, tracked=bool(hubs), clock=clock, wake=wake)

    # -- the workplace
    def handlers(self) -> Mapping[str, Handler]:
        """Its jobs."""
        return {
            "hub-verify": self._verifier.verify,
            "hub-news": self._tell_streams,
            "hub-customs": self._tell_customs,
            "hub-tidy": self._tidy,
        }

    async def pending(self, now: datetime) -> Sequence[Job]:
        """What is unfinished; nothing can be said of feeds before they are built."""
        if self._topics.built < 0:
            return []
        async with self._database.reading() as session:
            request = await hub_requests.next_request(session)
            known = await hub_news.topics(session, now, everything=bool(self._hubs))
            over = await hub.next_end(session)
        jobs = []
        if request is not None:
            self._verifier.look_again()
            jobs.append(Job("hub-verify", "hub-verify", Priority.URGENT, request, lane="hub-verify"))
        for name, some in (("hub-news", _streams(known)), ("hub-customs", _customs(known))):
            due = [self._due(topic.name, now) for topic in some if self._moved(topic)]
            if name == "hub-news" and self._unknown(known):
                due.append(now)
            if due:
                jobs.append(Job(name, name, Priority.NORMAL, min(due), lane=name))
        jobs.append(Job("hub-tidy", "hub-tidy", Priority.NORMAL, self._next_tidying(over, now), lane="hub-tidy"))
        return jobs

    def _next_tidying(self, over: datetime | None, now: datetime) -> datetime:
        if self._tidied is None or self._tidied > now or (over is not None and not self._takes):
            return now
        tidy = self._tidied + TIDY
        return min(tidy, over or tidy)

    # -- news
    def _due(self, name: str, now: datetime) -> datetime:
        """When a feed that has changed is told; `now`, unless that failed lately."""
        trouble = self._troubled.get(name)
        return trouble.until if trouble is not None and now < trouble.until <= now + HORIZON else now

    def _moved(self, topic: Topic) -> bool:
        """Whether a feed may have become another than what was told."""
        if topic.built > self._topics.built:
            return False
        if is_custom(topic.name):
            return topic.listened and topic.built != self._topics.built
        if not (topic.listened or self._hubs):
            return False
        current = self._topics.current(topic.name)
        return not self._topics.stands(topic.name) if current is None else topic.etag != current

    def _unknown(self, known: Sequence[Topic]) -> Mapping[str, str]:
        """Streams that hubs will be told of from now on, with their versions."""
        if not self._hubs:
            return {}
        names = {topic.name for topic in known}
        return {name: etag for name, etag in self._topics.always().items() if name not in names}

    async def _tell_streams(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `hub-news`: one transaction for each stream that has changed."""
        known = await self._known()
        await self._begin(self._unknown(known), self._clock())
        return await self._tell(_streams(known), turn)

    async def _tell_customs(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `hub-customs`: custom feeds are made, and told if they have changed."""
        return await self._tell(_customs(await self._known()), turn)

    async def _known(self) -> Sequence[Topic]:
        async with self._database.reading() as session:
            return await hub_news.topics(session, self._clock(), everything=bool(self._hubs))

    async def _tell(self, topics: Sequence[Topic], turn: Turn) -> Verdict:
        hubs = await self._subscribed_hubs()
        for topic in topics:
            now = self._clock()
            if self._moved(topic) and self._due(topic.name, now) <= now:
                await self._safely_tell_of(topic, hubs)
                if turn.should_yield():
                    return Again(self._clock())
        self._wake()
        return Done()

    async def _safely_tell_of(self, topic: Topic, hubs: Sequence[int]) -> None:
        try:
            await self._tell_of(topic, hubs)
        except OSError as error:
            log.warning("a feed's news cannot be told yet", feed=topic.name, reason=str(error))
        except Exception:
            log.exception("a feed's news cannot be told yet", feed=topic.name)
        else:
            self._troubled.pop(topic.name, None)
            return
        before = self._troubled.get(topic.name)
        times = 1 if before is None else before.times + 1
        wait = min(backoff(zlib.crc32(topic.name.encode()), times) / 12, LONGEST)  # from about five seconds on
        self._troubled[topic.name] = _Trouble(times, self._clock() + wait)

    async def _tell_of(self, topic: Topic, hubs: Sequence[int]) -> None:
        built = self._topics.built  # before it is made: what changes meanwhile is looked at again
        etag = await self._version(topic.name)
        now = self._clock()
        async with self._database.writing() as session:
            if etag is None:
                await _deny(session, await hub.end_topic(session, topic.name, GONE, now), GONE, now)
                await hub_news.forget_topic(session, topic.name)
            elif etag == topic.etag:
                await hub_news.looked_at(session, topic.name, built)
            else:
                told = await hub_news.announce(
                    session, topic.name, etag=etag, before=topic.etag, built=built, hubs=hubs, now=now
                )
                log.info("feed has news", feed=topic.name, told=told or 0)

    async def _version(self, name: str) -> str | None:
        if not is_custom(name):
            return self._topics.current(name)
        content = await self._topics.find(name)
        return None if content is None else content.etag

    async def _begin(self, names: Mapping[str, str], now: datetime) -> None:
        """Streams that nobody was told of yet: their news begin from here."""
        if not names:
            return
        async with self._database.writing() as session:
            for name, etag in names.items():
                await hub_news.begin_topic(session, name, etag, self._topics.built, now, tracked=True)

    async def _subscribed_hubs(self) -> Sequence[int]:
        if not self._hubs:
            return ()
        usual = {"language": self._site.default_language, "timezone": self._site.timezone, "now": self._clock()}
        async with self._database.writing() as session:
            return [await hub_news.ensure_hub(session, address, **usual) for address in self._hubs]  # type: ignore[arg-type]

    # -- tidying
    async def _tidy(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # small steps
        """Job `hub-tidy`: end what is over, forget what is long over."""
        now = self._clock()
        async with self._database.writing() as session:
            ended = await hub.expire(session, now)
            mended = await hub_news.mend_clock(session, now)
            await hub_requests.mend_clock(session, now, HORIZON)
        if ended or mended:
            log.info("hub was tidied", leases_ended=ended, waits_of_a_clock_ahead=mended)
        for _ in range(STEPS):
            async with self._database.writing() as session:
                if not await self._tidy_more(session, now):
                    break
        self._tidied = now
        self._wake()
        return Done()

    async def _tidy_more(self, session: AsyncSession, now: datetime) -> int:
        """One more step; 0 when there is none."""
        if not self._takes and (ended := await hub.end_all(session, CLOSED, now)):
            await _deny(session, ended, CLOSED, now)
            return len(ended)
        return await hub.forget(session, now)


def _streams(known: Sequence[Topic]) -> Sequence[Topic]:
    return [topic for topic in known if not is_custom(topic.name)]


def _customs(known: Sequence[Topic]) -> Sequence[Topic]:
    return [topic for topic in known if is_custom(topic.name)]


async def _deny(session: AsyncSession, ended: Sequence[Ended], reason: str, now: datetime) -> None:
    """Their callbacks will be told."""
    for lease in ended:
        wish = Wish(Mode.DENIED, lease.topic, lease.callback, lease.host, reason=reason)
        await hub_requests.tell(session, wish, challenge(), now=now)
