"""The numbers of messages in the office's chats, as the database knows them: the newest, and those of the ledger.

Rules, in order:

1. The newest number is kept for each bot and chat as it is learned: a restart forgets none.
2. What the ledger has about a chat: the numbers in the newest answers of all its places (the topics of a forum), the
   newest of them that was settled before a moment, and how many places of ours the chat has.
3. A place written by its name and one written by its number are places of one chat, where the ledger has learned it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from syndicator.domain.places import Place
from syndicator.domain.ports import Clock
from syndicator.store import telegram_chats
from syndicator.store.database import Database
from syndicator.store.telegram_chats import Answered, Written

__all__ = ["DatabaseNumbers", "Numbers", "Taken"]

_NUMBERED = ("messages", "words")
_NUMBER = ("reply", "notice")


@dataclass(frozen=True, slots=True)
class Taken:
    """What the ledger has about a chat: numbers, the newest from `before` the moment asked for, and its places."""

    numbers: frozenset[int] = frozenset()
    before: int | None = None
    places: int = 1

    @property
    def newest(self) -> int:
        """The newest of them; 0 where there is none."""
        return max(self.numbers, default=0)


class Numbers(Protocol):
    """Keeps the newest number known of each chat. Each method raises OSError when the place cannot be reached."""

    async def newest(self, chat: str) -> int | None:
        """The newest, or None."""
        ...

    async def note(self, chat: str, number: int) -> None:
        """That number is known; older ones than the newest change nothing."""
        ...

    async def taken(self, chat: str, since: datetime | None = None) -> Taken:
        """What the ledger has about it; `before` is None without a moment."""
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

    async def taken(self, chat: str, since: datetime | None = None) -> Taken:
        """See `Numbers`."""
        try:
            async with self._database.reading() as session:
                here = _places_of(chat, await telegram_chats.places(session))
                rows = await telegram_chats.answered(session, sorted(one.subscriber for one in here))
        except SQLAlchemyError as error:
            raise OSError(f"the ledger cannot be read: {type(error).__name__}") from error
        numbers = {number for row in rows for number in _numbers(row)}
        earlier = [row for row in rows if since is not None and row.settled_at and row.settled_at < since]
        before = max((number for row in earlier for number in _numbers(row)), default=None)
        return Taken(frozenset(numbers), before, len({Place.parse(one.address).thread for one in here}) or 1)


def _places_of(chat: str, channels: Sequence[Written]) -> Sequence[Written]:
    """The subscribers that are places of that chat."""
    numbers = {Place.parse(one.address).key[0]: Place.parse(one.resolved).chat for one in channels if one.resolved}

    def called(address: str) -> str:
        name = Place.parse(address).key[0]
        return str(numbers.get(name, name))

    return [one for one in channels if called(one.resolved or one.address) == called(chat)]


def _numbers(row: Answered) -> list[int]:
    listed = [one for key in _NUMBERED if isinstance(row.answer.get(key), list) for one in row.answer[key]]
    return [one for one in (*listed, *(row.answer.get(key) for key in _NUMBER)) if isinstance(one, int)]
