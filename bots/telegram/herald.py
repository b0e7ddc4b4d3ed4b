"""Tells an operator by the bot: one message straight to the Bot API, past ledger, pace and dialogue.

Rules, in order:

1. A connection of its own for each message: nothing that is in trouble is asked to help.
2. Plain text, cut to what one message holds (4096 UTF-16 units, https://core.telegram.org/bots/api#sendmessage).
3. The token is in no error: what fails is told by host.
"""

from __future__ import annotations

from bots.telegram.asking import Line, RefusedCall
from bots.telegram.rights import trouble_with
from syndicator.domain.text import one_line
from syndicator.pipeline.watching import Notice

__all__ = ["TelegramHerald"]

UNITS = 4000  # some room for the end that says that it was cut
CUT = "\n… (the log has the rest)"


class TelegramHerald:
    """Tells `chat`: a private group, a channel or a person who has started the bot."""

    name = "telegram"

    def __init__(self, line: Line, chat: str) -> None:
        self._line = line
        self._chat = int(chat) if chat.lstrip("-").isdecimal() else chat

    async def tell(self, notice: Notice) -> None:
        """See `pipeline.watchman.Herald`."""
        text = _cut(f"{notice.subject}\n\n{notice.text}")
        try:
            await self._line.call(
                "sendMessage", chat_id=self._chat, text=text, link_preview_options={"is_disabled": True}
            )
        except RefusedCall as error:
            raise ConnectionRefusedError(f"{self._line.host}: {error}") from None

    async def ask(self) -> str:
        """See `pipeline.watchman.Herald`. Whether a person has stopped the bot shows only when they are told."""
        try:
            found = await self._line.ask("getChat", chat_id=self._chat)
            kind = str(found.get("type", ""))
            if kind == "private":
                return f"a private chat with {one_line(str(found.get('first_name', '')))}"
            bot = await self._line.ask("getMe")
            member = await self._line.ask("getChatMember", chat_id=self._chat, user_id=bot["id"])
        except RefusedCall as error:
            raise ConnectionRefusedError(f"{self._line.host}: {error}; the bot must be in the chat") from None
        if trouble := trouble_with(kind, member, found.get("permissions")):
            raise PermissionError(trouble)
        return f"the bot may write in the {kind} “{one_line(str(found.get('title', '')))}”"


def _cut(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * UNITS:
        return text
    return units[: 2 * UNITS].decode("utf-16-le", "ignore") + CUT
