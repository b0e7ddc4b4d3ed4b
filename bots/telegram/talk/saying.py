"""Screens on their way to a chat: said anew, or shown in place of the one that was pressed.

Rules, in order:

1. A press is answered at once, whatever becomes of it.
2. A screen is edited in place; where that cannot be (deleted, too old, a question), it is sent anew.
3. No link of a screen gets a preview, and no screen has a parse mode.
4. Each screen is an answer of its own to `waiting.Answers`: under a 429 it comes later, and once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog
from telegram import Bot, CallbackQuery, ForceReply, InputFile, LinkPreviewOptions, Message
from telegram.error import BadRequest, TelegramError

from bots.telegram.outcomes import is_unmodified
from bots.telegram.talk.screens import Screen
from bots.telegram.talk.turns import Said
from bots.telegram.talk.waiting import Answers

__all__ = ["answer", "say", "show"]

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)

log = structlog.get_logger()


async def answer(query: CallbackQuery) -> None:
    """Let the button rest; one that cannot be answered (too old, the line is down) still counts."""
    try:
        await query.answer()
    except TelegramError as error:
        log.debug("telegram dialogue: a press could not be answered", error=type(error).__name__)


async def say(answers: Answers, bot: Bot, chat: int, said: Said) -> None:
    """Send every screen, in order."""
    for screen in _several(said):
        await answers.give(chat, partial(_send, bot, chat, screen))


async def show(answers: Answers, query: CallbackQuery, said: Said) -> None:
    """The first screen in place of the one that was pressed, the others below it."""
    bot, chat = query.get_bot(), query.from_user.id
    first, *others = _several(said) or (None,)
    if first is not None:
        fits = not isinstance(first.keyboard, ForceReply) and first.file is None
        place = query.message.message_id if query.message is not None and fits else None
        await answers.give(chat, partial(_put, query, first), place=place)
    await say(answers, bot, chat, others)


async def _put(query: CallbackQuery, screen: Screen) -> None:
    if not await _edited(query, screen):
        await _send(query.get_bot(), query.from_user.id, screen)


async def _send(bot: Bot, chat: int, screen: Screen) -> None:
    if screen.file is not None:
        file = InputFile(screen.file.content, filename=screen.file.name)
        await bot.send_document(chat, file, caption=screen.text, reply_markup=screen.keyboard)
        return
    await bot.send_message(chat, screen.text, reply_markup=screen.keyboard, link_preview_options=_NO_PREVIEW)


async def _edited(query: CallbackQuery, screen: Screen) -> bool:
    if not isinstance(query.message, Message) or isinstance(screen.keyboard, ForceReply) or screen.file:
        return False
    try:
        await query.edit_message_text(screen.text, reply_markup=screen.keyboard, link_preview_options=_NO_PREVIEW)
    except BadRequest as error:
        if is_unmodified(error):
            return True
        log.debug("telegram dialogue: a screen could not be edited, sending it anew", reason=error.message)
        return False
    return True


def _several(said: Said) -> Sequence[Screen]:
    if said is None:
        return ()
    return (said,) if isinstance(said, Screen) else said
