"""Intent verification: asking a callback whether the wish in its name is its own (WebSub section 5.3).

Rules, in order:

1. A request is a row; so a process that dies here asks again after its start, with the same challenge.
2. 2xx with the challenge as body means yes, and the wish is carried out in one transaction with the row's end. Any
   other answer means no, and the request is dropped (section 5.3.1); after a server's own trouble (5xx, no line, no
   answer) it is asked twice more.
3. Several callbacks are asked side by side, few of one host: a slow one delays nobody for long.
4. A topic that is gone meanwhile is denied to who asked (section 5.2); so is one whose leases end with it.
5. The log names the host, never the callback's path, the challenge or the secret.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from feeds.hub_topics import Topics
from syndicator.domain.ports import Again, Clock, Done, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.net import Forbidden, Outgoing
from syndicator.store import hub, hub_requests
from syndicator.store.database import Database
from syndicator.store.hub_requests import Mode, Request

__all__ = ["Verifier"]

log = structlog.get_logger()

AT_ONCE = 20
WAITS = (timedelta(minutes=1), timedelta(minutes=5))
"""Before the second and the third asking; there is no fourth."""

YES, NO, TROUBLE, UNTOLD = "confirmed", "refused", "trouble", "no such feed"


class Verifier:
    """Asks callbacks. `tracked` says that hubs are told of every feed anyway."""

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        topics: Topics,
        site: Site,
        *,
        tracked: bool,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._database, self._outgoing, self._topics = database, outgoing, topics
        self._site, self._tracked = site, tracked
        self._clock, self._wake = clock, wake

    async def verify(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `hub-verify`: everything that is due."""
        while True:
            async with self._database.reading() as session:
                due = await hub_requests.due_requests(session, self._clock(), AT_ONCE)
            if not due:
                break
            done = await asyncio.gather(*(self._settle(request) for request in due), return_exceptions=True)
            for failed in filter(None, done):
                raise failed
            if turn.should_yield():
                return Again(self._clock())
        self._wake()  # what was postponed comes due by itself, what began may have news already
        return Done()

    async def _settle(self, request: Request) -> None:
        etag: str | None = ""
        try:
            etag = await self._version(request)
            said = UNTOLD if etag is None else await self._ask(request)
        except Forbidden:
            said = NO
        except OSError:  # the callback's line, or a feed that cannot be made just now
            said = TROUBLE
        log.info("hub asked a callback", mode=request.wish.mode.value, host=request.wish.host, said=said)
        now = self._clock()
        async with self._database.writing() as session:
            if said == TROUBLE and request.attempts < len(WAITS):
                await hub_requests.postpone(session, request, now + WAITS[request.attempts])
            elif said == UNTOLD:
                if await hub_requests.drop(session, request):
                    await self._deny(session, request)
            elif said != YES or request.wish.mode is Mode.DENIED:
                await hub_requests.drop(session, request)
            elif request.wish.mode is Mode.UNSUBSCRIBE:
                await hub.end(session, request, now)
            else:
                await hub.activate(
                    session,
                    request,
                    etag=etag or "",
                    built=self._topics.built,
                    tracked=self._tracked,
                    language=self._site.default_language,
                    timezone=self._site.timezone,
                    now=now,
                )

    async def _deny(self, session: AsyncSession, request: Request) -> None:
        """Tell who wanted to subscribe that there is nothing to subscribe to."""
        wish = replace(request.wish, mode=Mode.DENIED, secret="", reason=UNTOLD)
        await hub_requests.ask(session, wish, request.challenge, bounds=hub_requests.Bounds(), now=self._clock())

    async def _version(self, request: Request) -> str | None:
        """The topic's version before anybody is asked: what changes meanwhile is news. "" where it does not matter."""
        wish = request.wish
        if wish.mode is not Mode.SUBSCRIBE:
            return ""
        if not wish.custom:
            return self._topics.current(wish.topic)
        content = await self._topics.find(wish.topic)
        return None if content is None else content.etag

    async def _ask(self, request: Request) -> str:
        wish = request.wish
        told = {"hub.mode": wish.mode.value, "hub.topic": self._topics.address(wish.topic)}
        if wish.mode is Mode.DENIED:
            told["hub.reason"] = wish.reason
        else:
            told["hub.challenge"] = request.challenge
        if wish.mode is Mode.SUBSCRIBE:
            told["hub.lease_seconds"] = str(wish.lease_seconds)
        separator = "&" if "?" in wish.callback else "?"
        answer = await self._outgoing.ask("GET", f"{wish.callback}{separator}{urlencode(told)}", limit=4096)
        if answer.status >= 500 or answer.status == 429:
            return TROUBLE
        agreed = hmac.compare_digest(answer.body.strip(), request.challenge.encode())
        return YES if 200 <= answer.status < 300 and agreed else NO
