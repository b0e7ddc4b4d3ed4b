"""Tells an operator by the bot: one message straight to the Bot API, past ledger, pace and dialogue.

Rules, in order:

1. A connection of its own for each message: nothing that is in trouble is asked to help.
2. Plain text, cut to what one message holds (4096 UTF-16 units, https://core.telegram.org/bots/api#sendmessage).
3. The token is in no error: what fails is told by host.
"""

from __future__ import annotations

from bots.telegram.asking import Line, RefusedCall
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


def _cut(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * UNITS:
        return text
    return units[: 2 * UNITS].decode("utf-16-le", "ignore") + CUT
