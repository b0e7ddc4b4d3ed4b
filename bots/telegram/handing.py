"""One operation handed over to Telegram: in its turn, with its picture, over a line that works, and not out of date.

Rules, in order:

1. It waits for its slot, edits and deletions too (`pace`).
2. Letters wait: for their chat, an upload, their pace. Before anything new is sent of one that was written a while ago,
   it is asked whether its release is still as it was then (`still`); if not, it is written anew.
3. Each picture that was asked for is accounted for: it was taken, blamed, or nothing was said about it.
4. Whether the line works, `reach` finds out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from telegram import InputFile, Message
from telegram.error import TelegramError

from bots.telegram.calls import Call, Manner, call
from bots.telegram.lean import perform
from bots.telegram.limits import Rank
from bots.telegram.media import is_picture_trouble
from bots.telegram.pace import MustWait, Pace
from bots.telegram.plan import Edit, Operation, Reply, Send
from bots.telegram.reach import Reach
from syndicator.domain.model import Attachment
from syndicator.domain.places import Place

__all__ = ["Hand", "NoPicture", "Photos", "Still"]

FRESH = timedelta(seconds=0.5)  # what was written so lately is as things are
Still = Callable[[Mapping[int, int]], Awaitable[bool]]
"""Whether releases (by number) are still at these changes. Raises OSError where nobody can tell."""

log = structlog.get_logger()


class Photos(Protocol):
    """What pictures are sent as; `media.Photos` is one. Each `input` is followed by one of the other three."""

    async def input(self, attachment: Attachment) -> str | InputFile | None:
        """A file_id, the bytes, or a public address; None where the post has to do without."""
        ...

    async def accepted(self, attachment: Attachment, message: Message) -> None:
        """Telegram took it."""
        ...

    async def refused(self, attachment: Attachment) -> None:
        """Telegram blamed the picture."""
        ...

    def released(self, attachment: Attachment) -> None:
        """The attempt ended without a word about the picture."""
        ...


class NoPicture(Exception):
    """The letter has to do without its picture; what stands is in `courier.stand`."""


@dataclass(slots=True)
class Hand:
    """Hands over what one letter needs. `bot` has the library's methods.

    The letter was written at `written_at`, from releases (by number) at these `changes`.
    """

    bot: Any
    pace: Pace
    moment: Callable[[], datetime]
    manner: Manner
    rank: Rank = Rank.NORMAL
    photos: Photos | None = None
    reach: Reach = field(default_factory=Reach)
    still: Still | None = None
    written_at: datetime | None = None
    changes: Mapping[int, int] = field(default_factory=dict)

    async def over(self, operation: Operation, place: Place, *, plain: bool = False) -> Any:
        """What Telegram answered, once its turn has come; `plain`: without markup.

        Raises:
            NoPicture: it has to be written without its picture.
            MustWait: no slot soon, or things have changed since the letter was written.
            TelegramError: as the library does.
        """
        picture = _picture_of(operation)
        photo = await self._photo(picture) if picture else None
        manner = replace(self.manner, plain=plain)
        asked = call(operation, place, manner, photo)
        try:
            message = await self.pace.call(place.chat, lambda: self._perform(operation, asked), self.moment, self.rank)
        except BaseException as error:
            if picture is not None and self.photos is not None:
                blamed = isinstance(error, TelegramError) and is_picture_trouble(error)
                await self.photos.refused(picture) if blamed else self.photos.released(picture)
            raise
        if picture is not None and self.photos is not None and isinstance(message, Message):
            await self.photos.accepted(picture, message)
        return message

    async def _perform(self, operation: Operation, asked: Call) -> Any:
        """The call itself, now that its turn has come."""
        if isinstance(operation, Send | Reply) and not await self._is_current():
            raise MustWait(self.moment(), "it has changed since it was written")
        return await self.reach.call(lambda: perform(self.bot, asked), self.moment)

    async def _is_current(self) -> bool:
        now = self.moment()
        if self.still is None or self.written_at is None or now - self.written_at < FRESH or not self.changes:
            return True
        try:
            current = await self.still(self.changes)
        except OSError as error:
            log.warning("it cannot be asked what a release says now; it is sent as it was read", reason=str(error))
            return True
        self.written_at = now
        return current

    async def _photo(self, picture: Attachment) -> str | InputFile:
        photo = await self.photos.input(picture) if self.photos is not None else None
        if photo is None:
            raise NoPicture
        return photo


def _picture_of(operation: Operation) -> Attachment | None:
    """The picture that has to be handed over with it."""
    match operation:
        case Send(_, part) | Edit(_, _, part, _, True):
            return part.photo
    return None
