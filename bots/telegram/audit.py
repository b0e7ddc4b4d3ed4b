"""Does a post whose sending nobody could tell of stand in its channel? A private chat is the place to look.

Rules, in order:

1. Numbers of messages in a channel follow each other. What came after the newest that we know is forwarded, one by one
   and silently, into the audit chat, compared there, and the copies are deleted. Nothing in the channel is touched: a
   probe by editing could overwrite another administrator's post.
2. The post is known by its text, markup and white space aside, and by having a picture or none.
3. Other administrators' posts and deleted ones take numbers too. Three numbers in a row that lead to nothing are the
   channel's end; after twelve forwards without an end nobody can tell.
4. What stands nowhere may still be on its way inside the Bot API: after a few seconds it is looked for once more.
5. Forwards and deletions keep the pace of the audit chat.

https://core.telegram.org/bots/api#forwardmessage
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from telegram import Bot, Message
from telegram.error import BadRequest, TelegramError

from bots.telegram.limits import Rank
from bots.telegram.pace import MustWait, Pace
from bots.telegram.parts import Part
from syndicator.domain.places import Place
from syndicator.domain.ports import Clock
from syndicator.store import telegram_chats
from syndicator.store.database import Database

__all__ = ["Audit", "ChannelAudit", "DatabaseNumbers", "Numbers"]

FORWARDS = 12
GAPS = 3
AGAIN = 3.0  # seconds
_MISSING = ("message to forward not found", "message_id_invalid", "message can't be forwarded")

log = structlog.get_logger()


class Audit(Protocol):
    """What a channel of the office is asked when nobody can tell."""

    async def noted(self, place: Place, message: int) -> None:
        """That message of ours was accepted there. Never raises: an audit is a help, no condition."""
        ...

    async def found(self, place: Place, part: Part, now: datetime) -> int | None:
        """The number under which that part stands there now; None if it does not.

        Raises:
            OSError: nobody can tell; one line says why.
        """
        ...


class Numbers(Protocol):
    """Keeps the newest number known of each chat. Both methods raise OSError when the place cannot be reached."""

    async def newest(self, chat: str) -> int | None:
        """The newest, or None."""
        ...

    async def note(self, chat: str, number: int) -> None:
        """That number is known; older ones than the newest change nothing."""
        ...


class DatabaseNumbers:
    """Keeps them in the service's own database, for one bot."""

    def __init__(self, database: Database, bot: int, clock: Clock) -> None:
        self._database = database
        self._bot = bot
        self._clock = clock

    async def newest(self, chat: str) -> int | None:
        """See `Numbers`."""
        try:
            async with self._database.reading() as session:
                return await telegram_chats.newest(session, self._bot, chat)
        except SQLAlchemyError as error:
            raise OSError(f"numbers cannot be read: {type(error).__name__}") from error

    async def note(self, chat: str, number: int) -> None:
        """See `Numbers`."""
        try:
            async with self._database.writing() as session:
                await telegram_chats.note(session, self._bot, chat, number, self._clock())
        except SQLAlchemyError as error:
            raise OSError(f"a number cannot be kept: {type(error).__name__}") from error


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
        self._newest: dict[str, int] = {}
        self._turn = asyncio.Lock()  # one look at a time: two would take each other's numbers for strangers'

    async def noted(self, place: Place, message: int) -> None:
        """See `Audit`."""
        chat = self._name(place)
        if self._newest.get(chat, 0) >= message:
            return
        self._newest[chat] = message
        try:
            await self._numbers.note(chat, message)
        except OSError as error:  # it is known in memory; only a restart would forget it
            log.warning("the newest post's number cannot be kept", reason=str(error))

    async def found(self, place: Place, part: Part, now: datetime) -> int | None:
        """See `Audit`."""
        async with self._turn:
            newest = await self._known(place)
            if newest is None:
                raise OSError("no post of ours is known there yet: nobody can tell where to look")
            started = self._monotonic()

            def moment() -> datetime:
                return now + timedelta(seconds=self._monotonic() - started)

            if (number := await self._look(place, part, newest, moment)) is not None:
                return number
            await self._sleep(AGAIN)
            return await self._look(place, part, self._newest[self._name(place)], moment)

    async def _known(self, place: Place) -> int | None:
        chat = self._name(place)
        if chat not in self._newest:
            kept = await self._numbers.newest(chat)
            if kept is None:
                return None
            self._newest[chat] = max(kept, self._newest.get(chat, 0))
        return self._newest[chat]

    async def _look(self, place: Place, part: Part, newest: int, moment: Callable[[], datetime]) -> int | None:
        copies, gaps = list[int](), 0
        try:
            for number in range(newest + 1, newest + 1 + FORWARDS):
                copy = await self._forward(place, number, moment)
                gaps = 0 if copy else gaps + 1
                if gaps == GAPS:
                    return None
                if copy is None:
                    continue
                copies.append(copy.message_id)
                await self.noted(place, number)
                if _is(copy, part):
                    log.info("a post of unknown outcome stands in its channel", message=number)
                    return number
        finally:
            await self._tidy(copies, moment)
        raise OSError(f"the channel has more than {FORWARDS} posts after the newest that is known")

    async def _forward(self, place: Place, number: int, moment: Callable[[], datetime]) -> Message | None:
        """The copy in the audit chat; None if there is no such message.

        Raises:
            OSError: the audit chat cannot be used now.
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
            raise OSError(f"the audit chat has to wait until {wait.until:%H:%M:%S} UTC: {wait.reason}") from None
        except BadRequest as error:
            if any(words in error.message.lower() for words in _MISSING):
                return None
            raise OSError(f"telegram.audit_chat: {error.message}") from None
        except TelegramError as error:
            raise OSError(f"telegram.audit_chat: {error.message}") from None

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


def _is(copy: Message, part: Part) -> bool:
    """Whether that message is that part, with its page in words or behind a button."""
    shown = _bare(copy.text or copy.caption or "")
    wanted = {_bare(part.plain), _bare(f"{part.plain}{part.link}")}
    return shown in wanted and bool(copy.photo) == (part.photo is not None)


def _bare(text: str) -> str:
    return "".join(text.split())
