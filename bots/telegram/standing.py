"""What somebody does to the bot in a chat of the office's own: makes it an administrator, takes a right, throws it out.

Rules, in order:

1. The operator learns at once, in one line, that posts will not go out any more, and that they will again: what waited
   is told to go out then (`Reopened`).
2. Only chats of the configuration are told of; the person who did it is not named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog
from telegram import ChatMemberUpdated

from bots.telegram.places import Place
from bots.telegram.rights import trouble_with

__all__ = ["Reopened", "Standing"]

Reopened = Callable[[Collection[str]], Awaitable[None]]
"""Told that a chat, by these names, takes posts again. Raises OSError where that cannot be taken down."""

log = structlog.get_logger()


class Standing:
    """Listens to `my_chat_member`; `chats` are the configured ones as written."""

    def __init__(self, chats: Iterable[str], reopened: Reopened | None = None) -> None:
        self._reopened = reopened
        self._chats = {str(Place.parse(chat).chat).lower() for chat in chats if chat}

    async def heard(self, change: ChatMemberUpdated) -> None:
        """Somebody changed what the bot is in a chat."""
        chat = change.chat
        names = {str(chat.id), f"@{chat.username}".lower() if chat.username else ""}
        if not names & self._chats:
            return
        before = trouble_with(chat.type, change.old_chat_member.to_dict())
        after = trouble_with(chat.type, change.new_chat_member.to_dict())
        name = f"@{chat.username}" if chat.username else str(chat.id)
        if after and after != before:
            log.error("telegram: posts to a chat of the configuration cannot go out any more", chat=name, why=after)
        elif before and not after:
            log.info("telegram: the bot may post in a chat of the configuration again", chat=name)
            await self._wake(names - {""}, name)

    async def _wake(self, names: Collection[str], name: str) -> None:
        if self._reopened is None:
            return
        try:
            await self._reopened(names)
        except OSError as error:  # it is tried again by itself, only later
            log.warning("telegram: what waited for a chat goes out at its own time", chat=name, reason=str(error))
