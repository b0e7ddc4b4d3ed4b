"""What the bot says to a person: language, topics, and leaving. Three taps from /start to subscribed.

Rules, in order:

1. Only private chats are talked to; groups are passed over in silence.
2. A press is answered at once, then done; the same press again changes nothing. Every tick holds at once, so what is
   on the screen is what the ledger has, and nobody has to find "Done".
3. The screen is edited in place; where that cannot be, it is sent anew.
4. Writing to the bot resumes a chat that had blocked it, with its topics; blocking pauses it.
5. What went wrong on our side is logged and said; the person is never left with a dead button.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from traceback import format_exception
from typing import Any, Protocol

import structlog
from telegram import CallbackQuery, LinkPreviewOptions, Message, Update
from telegram.constants import ChatMemberStatus, ChatType
from telegram.error import BadRequest, Forbidden, TelegramError
from telegram.ext import (
    BaseHandler,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    filters,
)

from bots.telegram.keyboards import Press, Screen, Screens, pressed
from bots.telegram.outcomes import is_unmodified
from syndicator.domain.filters import MAX_VALUES, BadFilter, Filter, parse
from syndicator.domain.model import SubscriptionState
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.pipeline.subscribing import Account
from syndicator.store.subscriptions import Consent

__all__ = ["Chats", "Dialogue"]

_Context = ContextTypes.DEFAULT_TYPE
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_PRIVATE = filters.ChatType.PRIVATE & filters.UpdateType.MESSAGE

log = structlog.get_logger()


class Chats(Protocol):
    """What the dialogue asks of `pipeline.subscribing.Subscribing`."""

    async def chat(self, chat: int | str, *, language: str, now: datetime) -> Account:
        """The account of a chat, made if new, resumed if paused."""
        ...

    async def choose(self, account: Account, filter_: Filter | None, *, consent: Consent, now: datetime) -> Account:
        """This filter takes the place of what the chat had; None ends it."""
        ...

    async def set_reading(self, account: Account, *, language: str | None = None) -> Account:
        """The reader's language."""
        ...

    async def blocked(self, chat: int | str, *, reason: str) -> None:
        """The chat blocked the bot: paused, topics kept."""
        ...


class Dialogue:
    """Handlers for an Application; holds no state of its own."""

    def __init__(self, chats: Chats, screens: Screens, *, site: Site, clock: Clock) -> None:
        self._chats = chats
        self._screens = screens
        self._site = site
        self._clock = clock

    def handlers(self) -> Sequence[BaseHandler[Any, Any, Any]]:
        """In the order in which they are asked."""
        return (
            CommandHandler("start", self.start, filters=_PRIVATE),
            CommandHandler("topics", self.topics, filters=_PRIVATE),
            CommandHandler("language", self.language, filters=_PRIVATE),
            CommandHandler("stop", self.stop, filters=_PRIVATE),
            CallbackQueryHandler(self.press),
            ChatMemberHandler(self.standing, ChatMemberHandler.MY_CHAT_MEMBER),
            MessageHandler(_PRIVATE & ~filters.StatusUpdate.ALL, self.help),
        )

    async def start(self, update: Update, context: _Context) -> None:
        """/start, perhaps with a topic from a deep link: which language?"""
        message = update.effective_message
        if message is None:
            return
        await self._account(update)  # resumes a chat that had blocked us
        payload = context.args[0] if context.args else ""
        await _say(message, self._screens.welcome(self._screens.slug(payload) or ""))

    async def topics(self, update: Update, _: _Context) -> None:
        """/topics: the checkboxes."""
        account = await self._account(update)
        if account and update.effective_message:
            screen = self._screens.topics(account.subscriber.language, _chosen(account))
            await _say(update.effective_message, screen)

    async def language(self, update: Update, _: _Context) -> None:
        """/language: which one?"""
        account = await self._account(update)
        if account and update.effective_message:
            await _say(update.effective_message, self._screens.language(account.subscriber.language))

    async def stop(self, update: Update, _: _Context) -> None:
        """/stop: nothing more, from now on."""
        account = await self._account(update)
        if account and update.effective_message:
            account = await self._choose(account, None, "/stop")
            await _say(update.effective_message, self._screens.stopped(account.subscriber.language))

    async def help(self, update: Update, _: _Context) -> None:
        """/help, and the answer to everything that we do not understand."""
        account = await self._account(update)
        if account and update.effective_message:
            await _say(update.effective_message, self._screens.help(account.subscriber.language))

    async def standing(self, update: Update, _: _Context) -> None:
        """The person blocked or unblocked the bot."""
        change = update.my_chat_member
        if change is None or change.chat.type != ChatType.PRIVATE:
            return
        if change.new_chat_member.status in (ChatMemberStatus.BANNED, ChatMemberStatus.LEFT):
            await self._chats.blocked(change.chat.id, reason="blocked the bot")
        elif change.new_chat_member.status == ChatMemberStatus.MEMBER:
            await self._account(update)

    async def press(self, update: Update, _: _Context) -> None:
        """A button was pressed."""
        query = update.callback_query
        if query is None:
            return
        await _answer(query)
        press = pressed(query.data)
        private = update.effective_chat is None or update.effective_chat.type == ChatType.PRIVATE
        if press is None or not private:
            return
        account = await self._account(update)
        screen = await self._act(account, press) if account else None
        if screen is not None:
            await _show(query, screen)

    async def _act(self, account: Account, press: Press) -> Screen | None:
        lang = account.subscriber.language
        match press.action:
            case "s" | "l":
                return await self._language(account, press)
            case "t" | "a":
                return await self._tick(account, press)
            case "p" | "m":
                return self._screens.topics(lang, _chosen(account), press.page)
            case "d":
                return self._screens.summary(lang, _chosen(account))
            case _:
                return None

    async def _language(self, account: Account, press: Press) -> Screen | None:
        if press.value not in self._site.languages:
            return None
        account = await self._chats.set_reading(account, language=press.value)
        if press.action == "l":
            return self._screens.language_set(press.value)
        if press.topic:
            return await self._tick(account, Press("t", "+", 0, press.topic))
        return self._screens.topics(press.value, _chosen(account))

    async def _tick(self, account: Account, press: Press) -> Screen | None:
        lang = account.subscriber.language
        had = _chosen(account)
        try:
            wanted = self._wanted(had, press)
        except BadFilter:
            return self._screens.topics(lang, had, press.page, self._screens.too_many(lang, MAX_VALUES))
        if wanted != had:
            account = await self._choose(account, wanted, self._screens.topics(lang, wanted).text)
        return self._screens.topics(lang, _chosen(account), press.page)

    def _wanted(self, had: Filter | None, press: Press) -> Filter | None:
        """The filter after a tick. Other wishes in it (kinds, words) stay; topics that left the file go.

        Raises:
            BadFilter: too many topics.
        """
        base = had or Filter()
        if press.action == "a":
            return replace(base, topics=()) if press.value == "+" else None
        slug = self._screens.slug(press.topic)
        if slug is None:
            return had
        known = [one for one in base.topics if self._screens.slug_known(one)]
        left = [one for one in known if one != slug]
        if press.value == "+":
            return replace(base, topics=(*left, slug), without=tuple(one for one in base.without if one != slug))
        if had is None or not base.topics:
            return had
        return replace(base, topics=tuple(left)) if left else None

    async def _choose(self, account: Account, wanted: Filter | None, words: str) -> Account:
        now = self._clock()
        return await self._chats.choose(account, wanted, consent=Consent(now, "telegram", words), now=now)

    async def _account(self, update: Update) -> Account | None:
        chat, user = update.effective_chat, update.effective_user
        who = chat.id if chat else user.id if user else None
        if who is None:
            return None
        return await self._chats.chat(who, language=self._spoken(update), now=self._clock())

    def _spoken(self, update: Update) -> str:
        """The language of the person's own Telegram if we write in it, else the office's."""
        user = update.effective_user
        spoken = ((user.language_code if user else None) or "").partition("-")[0].lower()
        return spoken if spoken in self._site.languages else self._site.default_language

    async def _language_of(self, update: Update) -> str:
        """The chosen language; while that cannot be read, the spoken one."""
        try:
            account = await self._account(update)
        except Exception as error:  # noqa: BLE001  # it is said already that something is wrong
            log.debug("telegram dialogue: the language cannot be read", error=type(error).__name__)
            account = None
        return account.subscriber.language if account else self._spoken(update)

    async def failed(self, update: object, context: _Context) -> None:
        """A handler raised: log it, and say so to the person unless Telegram itself was the trouble."""
        error = context.error
        if isinstance(error, Forbidden) and isinstance(update, Update) and update.effective_chat:
            await self._chats.blocked(update.effective_chat.id, reason=error.message)
            return
        if isinstance(error, TelegramError):
            log.warning("telegram dialogue: an answer did not get through", error=type(error).__name__)
            return
        if error is None:
            return
        # Without the chain: an error of the library's behind this one may hold the token.
        log.error("telegram dialogue failed", exception="".join(format_exception(error, chain=False)))
        if not isinstance(update, Update):
            return
        message = update.effective_message
        if isinstance(message, Message) and message.chat.type == ChatType.PRIVATE:
            await _say(message, self._screens.trouble(await self._language_of(update)))


def _chosen(account: Account) -> Filter | None:
    """What the chat gets; None for nothing."""
    for subscription in account.subscriptions:
        if subscription.state is SubscriptionState.ACTIVE:
            try:
                return parse(subscription.filter)
            except BadFilter as error:
                log.warning("telegram dialogue: a stored filter cannot be read", reason=str(error))
    return None


async def _say(message: Message, screen: Screen) -> None:
    bot = message.get_bot()
    await bot.send_message(message.chat.id, screen.text, reply_markup=screen.keyboard, link_preview_options=_NO_PREVIEW)


async def _answer(query: CallbackQuery) -> None:
    try:
        await query.answer()
    except TelegramError as error:  # too old, or the line is down: the press still counts
        log.debug("telegram dialogue: a press could not be answered", error=type(error).__name__)


async def _show(query: CallbackQuery, screen: Screen) -> None:
    if isinstance(query.message, Message):
        try:
            await query.edit_message_text(screen.text, reply_markup=screen.keyboard, link_preview_options=_NO_PREVIEW)
        except BadRequest as error:
            if is_unmodified(error):
                return
            log.debug("telegram dialogue: a screen could not be edited, sending it anew", reason=error.message)
        else:
            return
    await query.get_bot().send_message(
        query.from_user.id, screen.text, reply_markup=screen.keyboard, link_preview_options=_NO_PREVIEW
    )
