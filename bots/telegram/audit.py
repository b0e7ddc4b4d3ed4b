"""Does a post whose sending nobody could tell of stand in its channel? A private chat is the place to look.

Rules, in order:

1. Numbers of messages in a channel follow each other. What came after the newest that was known before the sending is
   forwarded, one by one and silently, into the audit chat, compared there, and the copies are deleted. Nothing in the
   channel is touched: a probe by editing could overwrite another administrator's post.
2. The post is known by its trace (`traces`). A number that the ledger has, or that was accepted or adopted before, is
   another post's, and is stepped over; but where an earlier attempt is asked for, it may be one that was accepted for
   that very place, and that the ledger has not.
3. A forward does not say from which topic of a forum it comes: where a chat has several places of ours, a post that
   looks right and that we do not remember may be another topic's, and nobody can tell.
4. Other administrators' posts and deleted ones take numbers too. Three numbers in a row behind all that is known that
   lead to nothing are the channel's end. After twelve forwards the look goes on a minute later, where it stopped;
   sixty numbers on, nobody can tell.
5. What stands nowhere may still be on its way inside the Bot API: after a few seconds it is looked for once more.
6. Forwards and deletions keep the pace of the audit chat. A wait is `NotNow`; a refusal says that nobody can tell.

https://core.telegram.org/bots/api#forwardmessage
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from telegram import Bot, Message
from telegram.error import BadRequest, ChatMigrated, Forbidden, RetryAfter, TelegramError

from bots.telegram.limits import Rank
from bots.telegram.numbers import Numbers, Taken
from bots.telegram.pace import MustWait, Pace, seconds_of
from bots.telegram.traces import Trace, digest
from syndicator.domain.places import Place

__all__ = ["Audit", "ChannelAudit", "NotNow"]

FORWARDS = 12
FARTHEST = 60
GAPS = 3
AGAIN = 3.0  # seconds
SOON = timedelta(minutes=1)
KEPT = 500  # numbers of a chat that are remembered
_MISSING = ("message to forward not found", "message_id_invalid", "message can't be forwarded")

log = structlog.get_logger()


class NotNow(OSError):
    """Nobody can tell now; the look can go on at `until`."""

    def __init__(self, until: datetime, reason: str) -> None:
        super().__init__(reason)
        self.until = until


class Audit(Protocol):
    """What a channel of the office is asked when nobody can tell."""

    def begin(self) -> None:
        """Another process may have posted meanwhile: only what is kept counts."""
        ...

    async def noted(self, place: Place, message: int) -> None:
        """That message is ours and accounted for. Never raises: an audit is a help, no condition."""
        ...

    async def newest(self, place: Place) -> int | None:
        """The newest number known there: what is sent now stands behind it. None where none is known. Never raises."""
        ...

    async def found(self, place: Place, trace: Trace, now: datetime, since: datetime | None = None) -> int | None:
        """The number under which that post stands there; None if it does not. It was sent at `since` or later.

        Raises:
            NotNow: it has to be asked again, later.
            OSError: nobody can tell; one line says why.
        """
        ...


@dataclass(slots=True)
class _Known:
    """What is known of a chat's numbers: the newest, ours by their topic, all seen by their words (None: not there)."""

    newest: int = 0
    ours: dict[int, int | None] = field(default_factory=dict)
    others: dict[int, tuple[str, bool] | None] = field(default_factory=dict)

    def trim(self) -> None:
        """Forget the oldest."""
        for kept in (self.ours, self.others):
            for number in sorted(kept)[:-KEPT]:
                kept.pop(number)


class ChannelAudit:
    """Looks into channels by way of the chat `where`. `monotonic` gives seconds; tests pass their own."""

    def __init__(
        self,
        bot: Bot,
        where: str,
        *,
        numbers: Numbers,
        pace: Pace,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bot = bot
        self._where = Place.parse(where)
        self._numbers = numbers
        self._pace = pace
        self._monotonic = monotonic
        self._sleep = sleep
        self._chats: defaultdict[str, _Known] = defaultdict(_Known)
        self._turn = asyncio.Lock()  # one look at a time: they share what they have seen

    def begin(self) -> None:
        """See `Audit`."""
        self._chats.clear()

    async def noted(self, place: Place, message: int) -> None:
        """See `Audit`."""
        known = self._chats[self._name(place)]
        known.ours[message] = place.thread
        known.trim()
        await self._seen(place, message)

    async def newest(self, place: Place) -> int | None:
        """See `Audit`."""
        try:
            return await self._known(place)
        except OSError as error:
            log.warning("the newest post's number cannot be read", reason=str(error))
            return None

    async def found(self, place: Place, trace: Trace, now: datetime, since: datetime | None = None) -> int | None:
        """See `Audit`."""
        async with self._turn:
            chat = self._name(place)
            taken = await self._numbers.taken(chat, since)
            after = await self._behind(place, trace, taken, since)
            started = self._monotonic()

            def moment() -> datetime:
                return now + timedelta(seconds=self._monotonic() - started)

            look = _Look(place, trace, after, taken, moment, again=since is not None and trace.after is None)
            if (number := await self._look(look)) is None:
                await self._sleep(AGAIN)
                number = await self._look(look)
            if number is None:
                return None
            ours = self._chats[chat].ours
            if taken.places > 1 and (number not in ours or ours[number] != place.thread):
                raise OSError("the chat has several topics of ours: nobody can tell whose post it is")
            log.info("a post of unknown outcome stands in its channel", message=number)
            ours[number] = place.thread
            return number

    async def _behind(self, place: Place, trace: Trace, taken: Taken, since: datetime | None) -> int:
        """The number behind which the post can only stand."""
        if trace.after is not None:
            return trace.after
        if since is not None and taken.before is not None:
            return taken.before
        newest = await self._known(place)
        if newest is None:
            raise OSError("no post of ours is known there yet: nobody can tell where to look")
        return newest if since is None else max(0, newest - FORWARDS)

    async def _known(self, place: Place) -> int | None:
        chat = self._name(place)
        if not self._chats[chat].newest:
            kept = await self._numbers.newest(chat)
            self._chats[chat].newest = max(kept or 0, self._chats[chat].newest)
        return self._chats[chat].newest or None

    async def _seen(self, place: Place, number: int) -> None:
        """A message stands there."""
        chat = self._name(place)
        if self._chats[chat].newest >= number:
            return
        self._chats[chat].newest = number
        try:
            await self._numbers.note(chat, number)
        except OSError as error:  # it is known in memory; only a restart would forget it
            log.warning("the newest post's number cannot be kept", reason=str(error))

    async def _look(self, look: _Look) -> int | None:
        known, forwards, gaps = self._chats[self._name(look.place)], 0, list[int]()
        newest, copies = max(known.newest, look.taken.newest), list[int]()
        try:
            for number in range(look.after + 1, look.after + 1 + FARTHEST):
                if number in look.taken.numbers or (number in known.ours and not look.may_be(known.ours[number])):
                    gaps.clear()
                    continue
                if number not in known.others:
                    if forwards == FORWARDS:
                        raise NotNow(look.moment() + SOON, f"more than {FORWARDS} posts of others: going on from there")
                    forwards += 1
                    if (copy := await self._forward(look.place, number, look.moment)) is None:
                        gaps.append(number)
                        if len([one for one in gaps if one > newest]) == GAPS:
                            return None
                        continue
                    copies.append(copy.message_id)
                    known.others |= {number: _shown(copy)} | dict.fromkeys(gaps)
                    known.trim()
                    await self._seen(look.place, number)
                gaps.clear()
                if (shown := known.others[number]) is not None and look.trace.is_of(shown[0], photo=shown[1]):
                    return number
        finally:
            await self._tidy(copies, look.moment)
        raise OSError(f"more than {FARTHEST} posts stand behind the newest that was known")

    async def _forward(self, place: Place, number: int, moment: Callable[[], datetime]) -> Message | None:
        """The copy in the audit chat; None if there is no such message.

        Raises:
            NotNow: the audit chat has to wait, or the line is down.
            OSError: the audit chat is refused.
        """
        where = self._where
        try:
            return await self._pace.call(
                where.chat,
                lambda: self._bot.forward_message(
                    where.chat, place.chat, number, disable_notification=True, message_thread_id=where.thread
                ),
                moment,
                Rank.CHANNEL,
            )
        except MustWait as wait:
            raise NotNow(wait.until, f"the audit chat has to wait: {wait.reason}") from None
        except RetryAfter as error:
            raise NotNow(moment() + timedelta(seconds=seconds_of(error)), "429: the audit chat has to wait") from None
        except BadRequest as error:
            if any(words in error.message.lower() for words in _MISSING):
                return None
            raise OSError(f"telegram.audit_chat: {error.message}") from None
        except (ChatMigrated, Forbidden) as error:
            raise OSError(f"telegram.audit_chat: {error.message}") from None
        except TelegramError as error:
            raise NotNow(moment() + SOON, f"telegram.audit_chat: {error.message}") from None

    async def _tidy(self, copies: Sequence[int], moment: Callable[[], datetime]) -> None:
        if not copies:
            return
        where = self._where.chat
        try:
            await self._pace.call(where, lambda: self._bot.delete_messages(where, copies), moment, Rank.LATER)
        except (MustWait, TelegramError) as error:  # a copy more in a private chat of the office harms nobody
            log.info("copies stay in the audit chat", reason=str(error))

    def _name(self, place: Place) -> str:
        return str(self._pace.pacer.known(place.chat))


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked for, where, and behind which number. `again`: an earlier attempt may have sent it."""

    place: Place
    trace: Trace
    after: int
    taken: Taken
    moment: Callable[[], datetime]
    again: bool = False

    def may_be(self, topic: int | None) -> bool:
        """Whether a message that was accepted for that topic may be it."""
        return self.again and topic == self.place.thread


def _shown(copy: Message) -> tuple[str, bool]:
    return digest(copy.text or copy.caption or ""), bool(copy.photo)
