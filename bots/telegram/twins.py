"""One place, named twice: a chat by its public name and by its number gets nothing twice.

Rules, in order:

1. Only Telegram knows which number a name has, so it is asked (getChat) before the first post, where several places
   are configured and a name is among them; an answer is kept, a refusal is asked for again at the next post.
2. Of two entries for one place the first counts. The other is sent no news, and said once; what already stands there is
   still corrected and taken away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from telegram.error import TelegramError

from bots.telegram.places import Place
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, SubscriberRole

__all__ = ["Twins"]

log = structlog.get_logger()


class Twins:
    """Knows which configured places are one. `bot` has the library's getChat; `written` are the places in order."""

    def __init__(self, bot: Any, written: Iterable[str]) -> None:
        self._bot = bot
        places = [(one, Place.parse(one)) for one in written]
        topics = [place.thread for _, place in places]
        self._places = [(one, place) for one, place in places if topics.count(place.thread) > 1]
        self._numbers: dict[object, int] = {}
        self._said: set[str] = set()

    async def first_of(self, letter: Letter) -> str:
        """The place as written that gets this letter's news already; "" where the letter's own is to get it."""
        if letter.role is not SubscriberRole.CHANNEL or letter.kind is not MessageKind.RELEASE:
            return ""
        wanted = Place.parse(letter.written or letter.address)
        if not any(place.key == wanted.key for _, place in self._places):
            return ""
        own = await self._key(wanted)
        for written, place in self._places:
            if place.key == wanted.key:
                return ""
            if await self._key(place) == own:
                if str(wanted) not in self._said:
                    self._said.add(str(wanted))
                    log.error("telegram.channels names one place twice", chat=str(wanted), same=written)
                return written
        return ""

    async def _key(self, place: Place) -> tuple[object, int | None]:
        name, thread = place.key
        if isinstance(name, int):
            return place.key
        if name not in self._numbers:
            try:
                self._numbers[name] = (await self._bot.get_chat(place.chat)).id
            except TelegramError as error:
                log.warning("a channel's number is not known yet", chat=str(place), reason=error.message)
                return place.key
        return self._numbers[name], thread
