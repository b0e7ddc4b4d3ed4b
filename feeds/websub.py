"""Content distribution: the ledger's channel to WebSub subscribers (section 7), and to other hubs.

Rules, in order:

1. A subscriber gets the whole feed as it stands when it is sent, with its Content-Type, its hub and its own address in
   `Link`, and, with a secret, `X-Hub-Signature` over the body as sent (section 7.1). Hubs get a `publish`.
2. 2xx is taken. 410 ends the lease. Any other answer, a redirect too, no answer in time, and a line that broke on the
   way: later, with the pipeline's backoff (section 7); sending the whole feed once more does no harm.
3. Nobody gets the same bytes twice: what a callback took last is kept before the ledger hears of it. Of one callback
   only one delivery is on its way at a time, so that nothing old overtakes what is newer.
4. A chunk's requests run side by side, a few to each host; the clock of each starts when it has its line.
5. A host that cannot be reached is silent: it is left alone until its own backoff is over, whoever of its callbacks is
   next. One that takes long, or gives no answer in time, is slow: its callbacks are passed by and come again where
   those in trouble are (`Priority.LATER`), so that fresh news never waits for it longer than once.
6. A wait that is further ahead than the longest there is was written by a clock that ran ahead: it is over.
7. No log holds a callback's path or a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

import structlog

from feeds.hub_topics import Content, Topics
from syndicator.domain.hosts import host_of
from syndicator.domain.letters import Gone, Later, Letter, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import ChannelKind, MessageKind, SubscriberRole
from syndicator.domain.retry import backoff
from syndicator.net import Answer, Broken, Forbidden, Outgoing, TookTooLong, Unreachable
from syndicator.store import hub
from syndicator.store.batching import PAGE
from syndicator.store.database import Database
from syndicator.store.hub import Lease, Note
from syndicator.store.hub_news import HORIZON

__all__ = ["WebSubChannel", "signature"]

log = structlog.get_logger()

HOSTS = 5000
LONGEST_WAIT = timedelta(hours=4)
BUSY = timedelta(seconds=5)
SLOW = 2.0  # seconds; a host whose answer, or whose line, takes longer is passed by
SLOW_FOR = timedelta(minutes=2)
LINES_EACH = 8  # requests on their way to one host; the rest of `net.LINES_EACH` is for verifying
FORM = "application/x-www-form-urlencoded"


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature: method and hexadecimal HMAC of the body (section 7.1)."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@dataclass(slots=True)
class _Silence:
    """How often in a row a host did not answer, and until when it is left alone."""

    times: int
    until: datetime


@dataclass(slots=True)
class _Lines:
    """Who is on the way to a host, and who waits."""

    free: asyncio.Semaphore
    users: int = 0


class _Passed(Exception):
    """The host is slow: somebody else first."""


class _Silent(Later):
    """The callback was not asked, since its host was silent."""


class _Slow(Later):
    """The callback was not asked, since its host is slow."""


class WebSubChannel:
    """See `domain.ports.Channel`. `hub_address` is ours, `hubs` those of others; None where we are no hub."""

    kind = ChannelKind.WEBSUB
    tells = frozenset({MessageKind.FEED})
    lanes = 6
    chunk = PAGE

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        topics: Topics,
        *,
        hub_address: str,
        hubs: Sequence[str] = (),
    ) -> None:
        self._database, self._outgoing, self._topics = database, outgoing, topics
        self._hub, self._hubs = hub_address, frozenset(hubs)
        self._silent: OrderedDict[str, _Silence] = OrderedDict()
        self._slow: OrderedDict[str, datetime] = OrderedDict()
        self._lines: defaultdict[str, _Lines] = defaultdict(lambda: _Lines(asyncio.Semaphore(LINES_EACH)))
        self._on_their_way: set[int] = set()

    def ready_at(self, now: datetime) -> datetime | None:  # noqa: ARG002  # each host has a pace of its own
        """It can always send."""
        return None

    async def close(self) -> None:
        """Let go of connections."""
        await self._outgoing.close()

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Side by side, each as it stands now."""
        async with self._database.reading() as session:
            held = await hub.leases(session, [letter.subscriber for letter in letters], now)
        found = await self._contents({letter.feed for letter in letters})
        outcomes = await asyncio.gather(*(self._safely(one, held.get(one.subscriber), found, now) for one in letters))
        await self._keep(letters, held, outcomes, now)
        return outcomes

    async def _contents(self, names: set[str]) -> Mapping[str, Content | Outcome]:
        """Each topic's bytes, or what it means for its letters that there are none."""
        found: dict[str, Content | Outcome] = {}
        for name in sorted(names):
            try:
                content = await self._topics.find(name)
            except OSError as error:
                found[name] = Later(f"the feed cannot be made now: {error}", counts=False)
                continue
            gone = Refused("there is no such feed any more")
            wait = Later("feeds are still being built", counts=False)
            found[name] = content or (gone if self._topics.built >= 0 else wait)
        return found

    async def _safely(
        self, letter: Letter, lease: Lease | None, found: Mapping[str, Content | Outcome], now: datetime
    ) -> Outcome:
        """One letter's bug is its own."""
        try:
            return await self._one(letter, lease, found, now)
        except Exception as error:
            log.exception("a callback could not be told", feed=letter.feed)
            return Unknown(f"{type(error).__name__} in channel {self.kind.value}")

    async def _one(
        self, letter: Letter, lease: Lease | None, found: Mapping[str, Content | Outcome], now: datetime
    ) -> Outcome:
        content = found[letter.feed]
        if not isinstance(content, Content):
            return content
        if letter.role is SubscriberRole.CHANNEL:
            return await self._tell_hub(letter.address, content, now)
        if lease is None:
            return Refused("the lease has ended")
        if lease.etag == content.etag:
            return Sent({"etag": content.etag, "already": True})
        if lease.subscriber in self._on_their_way:
            return Later("an earlier version is on its way", now + BUSY, counts=False)
        self._on_their_way.add(lease.subscriber)
        try:
            return await self._distribute(lease, content, now)
        finally:
            self._on_their_way.discard(lease.subscriber)

    async def _distribute(self, lease: Lease, content: Content, now: datetime) -> Outcome:
        headers = {
            "Content-Type": content.content_type,
            "Link": f'<{self._hub}>; rel="hub", <{content.address}>; rel="self"',
        }
        if lease.secret:
            headers["X-Hub-Signature"] = signature(lease.secret, content.body)
        try:
            patient = bool(lease.failures or lease.slow)
            said = await self._ask(lease.host, lease.callback, content.body, headers, now, patient=patient)
        except _Passed:
            return _Slow(f"{lease.host} takes long", now, counts=False)
        if not isinstance(said, Answer):
            return said
        if said.status == 410:
            return Gone("the callback answered 410: it is gone")
        return _taken(said, content, now)

    async def _tell_hub(self, address: str, content: Content, now: datetime) -> Outcome:
        """A publisher's word to another hub (section 6): `hub.topic`, and `hub.url` as hubs before WebSub had it."""
        if address not in self._hubs:
            return Refused("the hub is no longer configured")
        told = {"hub.mode": "publish", "hub.url": content.address, "hub.topic": content.address}
        where = host_of(urlsplit(address).hostname or "")
        said = await self._ask(where, address, urlencode(told).encode(), {"Content-Type": FORM}, now, known=True)
        return _taken(said, content, now) if isinstance(said, Answer) else said

    async def _ask(
        self,
        host: str,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        now: datetime,
        *,
        patient: bool = True,
        known: bool = False,
    ) -> Answer | Outcome:
        """`patient` waits for a slow host; one that is `known` (a hub of ours) is silent if it only says nothing.

        Raises:
            _Passed: the host is slow.
        """
        loop = asyncio.get_running_loop()
        async with self._line(host, now, patient=patient):
            if (silent := self._silent_until(host, now)) is not None:
                return _Silent(f"{host} did not answer lately", silent, counts=False)
            began = loop.time()
            try:
                answer = await self._outgoing.ask("POST", address, body=body, headers=headers)
            except Forbidden as error:
                return Later(f"the callback may not be called: {error}")
            except Unreachable as error:
                self._note_silence(host, now)
                return Later(str(error))
            except TookTooLong as error:
                self._note_slow(host, now)
                if known:
                    self._note_silence(host, now)
                return Later(str(error))
            except Broken as error:
                return Later(str(error))
            finally:
                if loop.time() - began > SLOW:
                    self._note_slow(host, now)
        self._silent.pop(host, None)
        return answer

    @asynccontextmanager
    async def _line(self, host: str, now: datetime, *, patient: bool) -> AsyncIterator[None]:
        """A line to that host, few at a time; whoever is not patient is sent on if that takes long."""
        lines = self._lines[host]
        lines.users += 1
        try:
            if not patient and self._is_slow(host, now):
                raise _Passed
            try:
                async with asyncio.timeout(None if patient else SLOW):
                    await lines.free.acquire()
            except TimeoutError:
                self._note_slow(host, now)
                raise _Passed from None
            try:
                if not patient and self._is_slow(host, now):  # since we began to wait
                    raise _Passed
                yield
            finally:
                lines.free.release()
        finally:
            lines.users -= 1
            if not lines.users:
                self._lines.pop(host, None)

    def _silent_until(self, host: str, now: datetime) -> datetime | None:
        silence = self._silent.get(host)
        return silence.until if silence is not None and now < silence.until <= now + HORIZON else None

    def _note_silence(self, host: str, now: datetime) -> None:
        """Many callbacks of one host that fail together are one silence."""
        old = self._silent.pop(host, None)
        times = 1 if old is None else old.times if old.until > now else old.times + 1
        self._silent[host] = _Silence(times, now + backoff(zlib.crc32(host.encode()), times))
        if len(self._silent) > HOSTS:
            self._silent.popitem(last=False)

    def _is_slow(self, host: str, now: datetime) -> bool:
        until = self._slow.get(host)
        return until is not None and now < until <= now + HORIZON

    def _note_slow(self, host: str, now: datetime) -> None:
        self._slow.pop(host, None)
        self._slow[host] = now + SLOW_FOR
        if len(self._slow) > HOSTS:
            self._slow.popitem(last=False)

    async def _keep(
        self, letters: Sequence[Letter], held: Mapping[int, Lease], outcomes: Sequence[Outcome], now: datetime
    ) -> None:
        """Write down who took what and who failed; the ledger hears of it afterwards, and without this too."""
        notes = [
            note
            for letter, outcome in zip(letters, outcomes, strict=True)
            if (lease := held.get(letter.subscriber)) is not None
            and (note := _note(lease, outcome, now, slow=self._is_slow(lease.host, now))) is not None
        ]
        if not notes:
            return
        try:
            async with self._database.writing() as session:
                ended = await hub.note(session, notes, now)
        except OSError as error:
            log.warning(
                "what callbacks took cannot be kept; some may get it twice", count=len(notes), reason=str(error)
            )
            return
        if ended:
            log.info("leases ended: their callbacks failed for days", count=ended)


def _taken(answer: Answer, content: Content, now: datetime) -> Outcome:
    if 200 <= answer.status < 300:
        return Sent({"etag": content.etag, "status": answer.status})
    return Later(f"it answered {answer.status}", _wished(answer, now))


def _wished(answer: Answer, now: datetime) -> datetime | None:
    """When it wants to be asked again (RFC 9110 section 10.2.3), within four hours."""
    text = answer.headers.get("Retry-After", "").strip()
    if answer.status not in (429, 503) or not text:
        return None
    try:
        when = now + timedelta(seconds=int(text)) if text.isdigit() else parsedate_to_datetime(text)
        return min(when, now + LONGEST_WAIT)
    except (ValueError, OverflowError, TypeError):
        return None


def _note(lease: Lease, outcome: Outcome, now: datetime, *, slow: bool) -> Note | None:
    match outcome:
        case Sent(answer=answer) if not answer.get("already"):
            return Note(lease.subscriber, etag=str(answer["etag"]), slow=slow)
        case _Silent():  # nor would it have answered
            return Note(lease.subscriber, retry_at=outcome.not_before, asked=False)
        case _Slow():
            return Note(lease.subscriber)
        case Later(counts=True):
            wait = now + backoff(lease.id, lease.failures + 1)
            return Note(lease.subscriber, retry_at=max(wait, outcome.not_before or wait))
        case _:
            return None
