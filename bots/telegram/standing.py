"""What somebody does to the bot in a chat of the office's own: makes it an administrator, takes a right, throws it out.

Rules, in order:

1. The operator learns at once, in one line, that posts will not go out any more, and that they will again: waiting
   posts are tried again by themselves.
2. Only chats of the configuration are told of; the person who did it is not named.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from telegram import ChatMemberUpdated

from bots.telegram.places import Place
from bots.telegram.rights import trouble_with

__all__ = ["Standing"]

log = structlog.get_logger()


class Standing:
    """Listens to `my_chat_member`; `chats` are the configured ones as written."""

    def __init__(self, chats: Iterable[str]) -> None:
        self._chats = {str(Place.parse(chat).chat).lower() for chat in chats if chat}

    def heard(self, change: ChatMemberUpdated) -> None:
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
