"""Sending a message with as little work as it takes: one JSON body, and of the answer only the message's number.

The library's `Bot.send_message` writes each parameter by itself and builds a whole `Message` of the answer, with some
hundred attributes: two thirds of what a broadcast costs. Of an accepted message we need its number and its chat. The
library's request, its errors and its rules stay (https://core.telegram.org/bots/api#making-requests: JSON bodies).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from telegram import Bot
from telegram.error import TelegramError

from bots.telegram.calls import Call

if TYPE_CHECKING:
    from telegram.request import RequestData

__all__ = ["Chat", "Posted", "perform"]


@dataclass(frozen=True, slots=True)
class Chat:
    """What Telegram calls the chat."""

    id: int


@dataclass(frozen=True, slots=True)
class Posted:
    """An accepted message, as far as we need to know it."""

    message_id: int
    chat: Chat


@dataclass(frozen=True, slots=True)
class Body:
    """Parameters as one JSON value; to `transport` what the library's RequestData (a final class) is."""

    json_payload: bytes
    contains_files: bool = False


async def perform(bot: Any, asked: Call) -> Any:
    """What the library's method would do; a text message gives a `Posted`.

    Raises:
        TelegramError: as the library does.
    """
    if asked.method != "sendMessage" or not isinstance(bot, Bot):
        return await getattr(bot, asked.name)(**asked.values)
    body = Body(json.dumps(asked.parameters, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    result = await bot.request.post(f"{bot.base_url}/sendMessage", cast("RequestData", body))
    try:
        return Posted(int(result["message_id"]), Chat(int(result["chat"]["id"])))  # type: ignore[index, call-overload]  # JSON
    except (KeyError, TypeError, ValueError):
        raise TelegramError("the answer has no message") from None
