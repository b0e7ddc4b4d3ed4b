"""The hub's work, beside answering: asking callbacks, telling news of feeds, and tidying. A `Workplace`.

Rules, in order:

1. News follows from comparing what is served now with what was told last: nothing is remembered, nothing can be lost
   between a feed's change and its news. Custom feeds are made anew only when the store has changed.
2. Other hubs are told of every stream; for our own subscribers only what somebody listens to is looked at.
3. A feed that is no more (a topic that was dropped or renamed) ends its leases, and their callbacks are told so:
   `hub.mode=denied` (section 5.2).
4. Leases end when their time is over; once an hour, what is long over is forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from feeds.hub_topics import Topics, is_custom
from feeds.hub_verifying import Verifier
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.net import Outgoing
from syndicator.store import hub, hub_news, hub_requests
from syndicator.store.database import Database
from syndicator.store.hub_news import Topic
from syndicator.store.hub_requests import Bounds, Mode, Wish

__all__ = ["Hub"]

log = structlog.get_logger()

TIDY = timedelta(hours=1)
NO_LIMIT = Bounds(requests=10**9, requests_host=10**9, requests_pair=10**9)
GONE = "the feed is no more"


class Hub:
    """The workplace. `hubs` are others' addresses, which are told of every stream."""

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
    ) -> None:
        self._database, self._topics, self._site = database, topics, site
        self._hubs, self._clock, self._wake = tuple(hubs), clock, wake
        self._tidied: datetime | None = None
        self._verifier = Verifier(database, outgoing, topics, site, tracked=bool(hubs), clock=clock, wake=wake)

    # -- the workplace
    def handlers(self) -> Mapping[str, Handler]:
        """Its jobs."""
        return {"hub-verify": self._verifier.verify, "hub-news": self._tell, "hub-tidy": self._tidy}

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
            jobs.append(Job("hub-verify", "hub-verify", Priority.URGENT, request, lane="hub-verify"))
        if self._has_news(known):
            jobs.append(Job("hub-news", "hub-news", Priority.NORMAL, now, lane="hub-news"))
        tidy = now if self._tidied is None else self._tidied + TIDY
        jobs.append(Job("hub-tidy", "hub-tidy", Priority.NORMAL, min(tidy, over or tidy), lane="hub-tidy"))
        return jobs

    # -- news
    def _has_news(self, known: Sequence[Topic]) -> bool:
        return any(map(self._moved, known)) or bool(self._unknown(known))

    def _moved(self, topic: Topic) -> bool:
        """Whether a feed may have become another than what was told."""
        if is_custom(topic.name):
            return topic.listened and topic.built != self._topics.built
        if not (topic.listened or self._hubs):
            return False
        current = self._topics.current(topic.name)
        return self._topics.gone(topic.name) if current is None else topic.etag != current

    def _unknown(self, known: Sequence[Topic]) -> Mapping[str, str]:
        """Streams that hubs will be told of from now on, with their versions."""
        if not self._hubs:
            return {}
        names = {topic.name for topic in known}
        return {name: etag for name, etag in self._topics.always().items() if name not in names}

    async def _tell(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `hub-news`: one transaction for each feed that has changed."""
        now, hubs = self._clock(), await self._subscribed_hubs()
        async with self._database.reading() as session:
            known = await hub_news.topics(session, now, everything=bool(self._hubs))
        await self._begin(self._unknown(known), now)
        for topic in known:
            if self._moved(topic):
                await self._tell_of(topic, hubs)
                if turn.should_yield():
                    return Again(self._clock())
        self._wake()
        return Done()

    async def _tell_of(self, topic: Topic, hubs: Sequence[int]) -> None:
        built = self._topics.built  # before it is made: what changes meanwhile is looked at again
        etag = await self._version(topic.name)
        now = self._clock()
        async with self._database.writing() as session:
            if etag is None:
                for callback, host in await hub.end_topic(session, topic.name, GONE, now):
                    wish = Wish(Mode.DENIED, topic.name, callback, host, reason=GONE)
                    await hub_requests.ask(session, wish, challenge(), bounds=NO_LIMIT, now=now)
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
        if ended:
            log.info("leases ended", count=ended)
        for _ in range(1000):
            async with self._database.writing() as session:
                if not await hub.forget(session, now):
                    break
        self._tidied = now
        self._wake()
        return Done()


def challenge() -> str:
    """What a callback must say back: nobody can guess it."""
    return secrets.token_urlsafe(32)
