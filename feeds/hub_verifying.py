"""Intent verification: asking a callback whether the wish in its name is its own (WebSub section 5.3).

Rules, in order:

1. A request is a row; so a process that dies here asks again after its start, with the same challenge.
2. 2xx with the challenge as body means yes, and the wish is carried out in one transaction with the row's end. Any
   other answer means no, and the request is dropped (section 5.3.1); after a server's own trouble (5xx, no line, no
   answer), or ours, it is asked twice more. A host that never held a lease and does not answer in time is not asked
   again: nobody can make us wait for strangers without end.
3. Many callbacks are asked side by side, few of one host and of one visitor, for five seconds each. Whoever has
   answered makes room at once, and what is asked of us meanwhile joins; leases that hold go first.
4. A custom feed is made only after its callback has agreed: nobody makes us work for an address that is not theirs.
5. A topic that is gone meanwhile is denied to who asked (section 5.2); so is one whose leases end with it.
6. The log names the host, never the callback's path, the challenge or the secret.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Collection, Sequence
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

AT_ONCE = 48
SECONDS = 5.0  # that a callback has to answer
HANGING = 2.0  # seconds; who fails only after so long did not answer, others were refused or broke off at once
WAITS = (timedelta(minutes=1), timedelta(minutes=5))
"""Before the second and the third asking; there is no fourth."""

YES, NO, NO_ANSWER, TROUBLE, UNTOLD = "confirmed", "refused", "no answer", "trouble", "no such feed"


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
        self._more = asyncio.Event()

    def look_again(self) -> None:
        """Something was asked: if verifying is under way, it takes that along."""
        self._more.set()

    async def verify(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one such job
        """Job `hub-verify`: everything that is due, and what comes due while it runs."""
        under_way: dict[asyncio.Task[None], Request] = {}
        failed: BaseException | None = None
        try:
            while True:
                self._more.clear()
                if failed is None and not turn.should_yield():
                    for request in await self._due(under_way.values()):
                        under_way[asyncio.create_task(self._settle(request))] = request
                if not under_way:
                    break
                for task in await self._some(under_way):
                    del under_way[task]
                    failed = failed or task.exception()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if failed is not None:
            raise failed
        self._wake()  # what was postponed comes due by itself, what began may have news already
        return Again(self._clock()) if turn.should_yield() else Done()

    async def _due(self, under_way: Collection[Request]) -> Sequence[Request]:
        room = AT_ONCE - len(under_way)
        if room <= 0:
            return ()
        async with self._database.reading() as session:
            return await hub_requests.due_requests(session, self._clock(), room, under_way=under_way)

    async def _some(self, under_way: Collection[asyncio.Task[None]]) -> Collection[asyncio.Task[None]]:
        """Those that are done, once one is, or once there may be more to ask."""
        more = asyncio.create_task(self._more.wait())
        try:
            done, _ = await asyncio.wait({*under_way, more}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
        return [task for task in under_way if task in done]

    async def _settle(self, request: Request) -> None:
        """One request: what its callback says is carried out. What fails is an attempt, whosever fault it is."""
        said, etag, built = await self._hear(request)
        log.info("hub asked a callback", mode=request.wish.mode.value, host=request.wish.host, said=said)
        try:
            async with self._database.writing() as session:
                await self._carry_out(session, request, said, etag, built)
        except OSError:
            raise  # the database's: the job is tried again as a whole
        except Exception:
            log.exception("a request could not be carried out", host=request.wish.host)
            async with self._database.writing() as session:
                await self._put_off(session, request)

    async def _hear(self, request: Request) -> tuple[str, str, int]:
        """What the callback says, the topic's version, and up to which change of the store that stands."""
        loop, etag, built = asyncio.get_running_loop(), "", self._topics.built
        began = loop.time()
        try:
            if request.wish.mode is Mode.SUBSCRIBE:
                if not self._topics.stands(request.wish.topic):
                    return UNTOLD, "", built
                etag = self._topics.current(request.wish.topic) or ""
            said = await self._ask(request)
            if said == YES and request.wish.mode is Mode.SUBSCRIBE and request.wish.custom:
                content = await self._topics.find(request.wish.topic)
                said = UNTOLD if content is None else said
                # what changed while the callback was asked is news to it: then the version it has is not known
                etag = content.etag if content is not None and self._topics.built == built else ""
        except Forbidden:
            return NO, "", built
        except OSError:  # the callback's line, or a feed that cannot be made just now
            hung = loop.time() - began >= HANGING
            return NO_ANSWER if hung and not await self._reached(request) else TROUBLE, "", built
        except Exception:
            log.exception("a callback could not be asked", host=request.wish.host)
            return TROUBLE, "", built
        return said, etag, built

    async def _reached(self, request: Request) -> bool:
        async with self._database.reading() as session:
            return await hub_requests.reached(session, request.wish.host)

    async def _carry_out(self, session: AsyncSession, request: Request, said: str, etag: str, built: int) -> None:
        now = self._clock()
        if said == TROUBLE:
            await self._put_off(session, request)
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
                etag=etag,
                built=built,
                tracked=self._tracked,
                language=self._site.default_language,
                timezone=self._site.timezone,
                now=now,
            )

    async def _put_off(self, session: AsyncSession, request: Request) -> None:
        """Ask again later, or never again."""
        if request.attempts < len(WAITS):
            await hub_requests.postpone(session, request, self._clock() + WAITS[request.attempts])
        else:
            await hub_requests.drop(session, request)

    async def _deny(self, session: AsyncSession, request: Request) -> None:
        """Tell who wanted to subscribe that there is nothing to subscribe to."""
        wish = replace(request.wish, mode=Mode.DENIED, secret="", reason=UNTOLD)
        await hub_requests.tell(session, wish, request.challenge, now=self._clock())

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
        answer = await self._outgoing.ask(
            "GET", f"{wish.callback}{separator}{urlencode(told)}", limit=4096, total=SECONDS
        )
        if answer.status >= 500 or answer.status == 429:
            return TROUBLE
        agreed = hmac.compare_digest(answer.body.strip(), request.challenge.encode())
        return YES if 200 <= answer.status < 300 and agreed else NO
