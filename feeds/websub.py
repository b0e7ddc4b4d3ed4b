"""Content distribution: the ledger's channel to WebSub subscribers (section 7), and to other hubs.

Rules, in order:

1. A subscriber gets the whole feed as it stands when it is sent, with its Content-Type, its hub and its own address in
   `Link`, and, with a secret, `X-Hub-Signature` over the body as sent (section 7.1). Hubs get a `publish`.
2. 2xx is taken. 410 ends the lease. Any other answer, a redirect too, and no answer in time: later, with the pipeline's
   backoff (section 7). A line that broke on the way is unknown; sending the whole feed once more does no harm.
3. Nobody gets the same bytes twice: what a callback took last is kept before the ledger hears of it. Of one callback
   only one delivery is on its way at a time, so that nothing old overtakes what is newer.
4. A chunk's requests run side by side. A host that did not answer is left alone until its own backoff is over, whoever
   of its callbacks is next. So the dead delay nobody.
5. No log holds a callback's path or a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

import structlog

from feeds.hub_topics import Content, Topics
from syndicator.domain.model import (
    ChannelKind,
    Gone,
    Later,
    Letter,
    Outcome,
    Refused,
    Sent,
    SubscriberRole,
    Unknown,
)
from syndicator.domain.retry import backoff
from syndicator.net import Answer, Broken, Forbidden, Outgoing, TookTooLong, Unreachable
from syndicator.store import hub
from syndicator.store.database import Database
from syndicator.store.hub import Lease, Note

__all__ = ["WebSubChannel", "signature"]

log = structlog.get_logger()

HOSTS = 5000
LONGEST_WAIT = timedelta(hours=4)
BUSY = timedelta(seconds=5)
FORM = "application/x-www-form-urlencoded"


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature: method and hexadecimal HMAC of the body (section 7.1)."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@dataclass(slots=True)
class _Silence:
    """How often in a row a host did not answer, and until when it is left alone."""

    times: int
    until: datetime


class WebSubChannel:
    """See `domain.ports.Channel`. `hub_address` is ours, `hubs` those of others; None where we are no hub."""

    kind = ChannelKind.WEBSUB
    lanes = 3
    chunk = 32

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
        outcomes = await asyncio.gather(*(self._one(one, held.get(one.subscriber), found, now) for one in letters))
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
        said = await self._ask(lease.host, lease.callback, content.body, headers, now)
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
        where = urlsplit(address).netloc
        said = await self._ask(where, address, urlencode(told).encode(), {"Content-Type": FORM}, now)
        return _taken(said, content, now) if isinstance(said, Answer) else said

    async def _ask(
        self, host: str, address: str, body: bytes, headers: Mapping[str, str], now: datetime
    ) -> Answer | Outcome:
        silence = self._silent.get(host)
        if silence is not None and silence.until > now:
            return Later(f"{host} did not answer lately", silence.until, counts=False)
        try:
            answer = await self._outgoing.ask("POST", address, body=body, headers=headers)
        except Forbidden as error:
            return Later(f"the callback may not be called: {error}")
        except (Unreachable, TookTooLong) as error:
            self._note_silence(host, now)
            return Later(str(error))
        except Broken as error:
            return Unknown(str(error))
        self._silent.pop(host, None)
        return answer

    def _note_silence(self, host: str, now: datetime) -> None:
        """Many callbacks of one host that fail together are one silence."""
        old = self._silent.pop(host, None)
        times = 1 if old is None else old.times if old.until > now else old.times + 1
        self._silent[host] = _Silence(times, now + backoff(zlib.crc32(host.encode()), times))
        if len(self._silent) > HOSTS:
            self._silent.popitem(last=False)

    async def _keep(
        self, letters: Sequence[Letter], held: Mapping[int, Lease], outcomes: Sequence[Outcome], now: datetime
    ) -> None:
        """Write down who took what and who failed; the ledger hears of it afterwards, and without this too."""
        notes = [
            note
            for letter, outcome in zip(letters, outcomes, strict=True)
            if (lease := held.get(letter.subscriber)) is not None and (note := _note(lease, outcome, now)) is not None
        ]
        if not notes:
            return
        try:
            async with self._database.writing() as session:
                await hub.note(session, notes, now)
        except OSError as error:
            log.warning(
                "what callbacks took cannot be kept; some may get it twice", count=len(notes), reason=str(error)
            )


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


def _note(lease: Lease, outcome: Outcome, now: datetime) -> Note | None:
    match outcome:
        case Sent(answer=answer) if not answer.get("already"):
            return Note(lease.subscriber, etag=str(answer["etag"]))
        case Later(counts=True):
            wait = now + backoff(lease.id, lease.failures + 1)
            return Note(lease.subscriber, retry_at=max(wait, outcome.not_before or wait))
        case _:
            return None
