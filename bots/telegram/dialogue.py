"""Where what a person does goes: commands, presses and answers, each to the part of the dialogue that it belongs to.

Rules, in order:

1. Only private chats are talked to; groups and channels are passed over in silence, also when they add the bot.
2. A press is answered at once, then done; the same press again changes nothing. What is on the screen is what the
   ledger has, and nobody has to find "Done".
3. Nothing is dead: a button that no version knows any more, and words that no command takes, get an answer. Of words it
   is said that they were not understood; one button looks for them in the releases, another tells what the bot can do.
4. Writing to the bot resumes a chat that had blocked it, with its topics; blocking pauses it.
5. What went wrong on our side is logged and said; the person is never left with a dead button.
6. Parts know nothing of each other; this file knows only what they bring (`talk.turns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from traceback import format_exception
from typing import Any, TypeVar

import structlog
from telegram import Message, Update
from telegram.constants import ChatMemberStatus, ChatType
from telegram.error import Forbidden, TelegramError
from telegram.ext import (
    BaseHandler,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    filters,
)

from bots.telegram.talk.own import own_parts
from bots.telegram.talk.saying import answer, say, show
from bots.telegram.talk.screens import SEEK, Press, Screen, pressed, sought
from bots.telegram.talk.turns import Chats, Command, Heard, Part, PressHandler, Turn
from bots.telegram.talk.waiting import Answers
from bots.telegram.talk.welcome import Welcome
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Texts
from syndicator.pipeline.subscribing import Account

__all__ = ["Chats", "Dialogue"]

_Value = TypeVar("_Value")
_Context = ContextTypes.DEFAULT_TYPE
_PRIVATE = filters.ChatType.PRIVATE & filters.UpdateType.MESSAGE

log = structlog.get_logger()


class Dialogue:
    """Handlers for an Application; holds no state of its own. `more` are the parts that stand on more than chats."""

    def __init__(
        self,
        chats: Chats,
        answers: Answers,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        clock: Clock,
        schedule: Schedule,
        more: Sequence[Part] = (),
    ) -> None:
        self._chats = chats
        self._answers = answers
        self._site = site
        self._texts = texts
        self._clock = clock
        self._welcome = Welcome(site, texts)
        parts = (*own_parts(chats, site=site, texts=texts, taxonomy=taxonomy, schedule=schedule), *more)
        self._commands = sorted((one for part in parts for one in part.commands), key=lambda one: one.place)
        self._presses: Mapping[str, PressHandler] = _joined((*(part.presses for part in parts), {"help": self._helped}))
        self._strangers = _joined(part.strangers for part in parts)
        self._questions = _joined(_in_every_language(part.questions, texts) for part in parts)
        _joined({one.name: one} for one in self._commands)  # no name twice

    def handlers(self) -> Sequence[BaseHandler[Any, Any, Any]]:
        """In the order in which they are asked."""
        return (
            *(CommandHandler(one.name, self._runs(one), filters=_PRIVATE) for one in self._commands),
            CommandHandler("help", self.help, filters=_PRIVATE),
            CallbackQueryHandler(self.press),
            ChatMemberHandler(self.standing, ChatMemberHandler.MY_CHAT_MEMBER),
            MessageHandler(_PRIVATE & ~filters.StatusUpdate.ALL, self.words),
        )

    def menu(self, lang: str) -> list[tuple[str, str]]:
        """The commands and what they do, in that language."""
        t = self._texts(lang)
        return [*((one.name, t(one.what)) for one in self._commands if one.what), ("help", t("what this bot can do"))]

    def description(self, lang: str) -> str:
        """What stands in the empty chat, at most 512 characters."""
        return self._welcome.description(lang)

    def short_description(self, lang: str) -> str:
        """What stands on the bot's profile, at most 120 characters."""
        return self._welcome.short_description(lang)

    def _runs(self, command: Command) -> Any:
        async def run(update: Update, context: _Context) -> None:
            turn = await self._turn(update, " ".join(context.args or ()))
            if turn is not None:
                await say(self._answers, turn.bot, turn.chat, await command.run(turn))

        return run

    async def help(self, update: Update, _: _Context) -> None:
        """/help."""
        turn = await self._turn(update)
        if turn is not None:
            await say(self._answers, turn.bot, turn.chat, self._help(turn))

    async def words(self, update: Update, _: _Context) -> None:
        """The answer to a question of ours, or something that we do not understand."""
        message = update.effective_message
        asked = message.reply_to_message if message else None
        heard = self._questions.get((asked.text or "").strip()) if asked and asked.from_user else None
        turn = await self._turn(update, (message.text or message.caption or "") if message else "")
        if turn is None:
            return
        ours = asked is not None and asked.from_user is not None and asked.from_user.id == turn.bot.id
        await say(self._answers, turn.bot, turn.chat, await heard(turn) if heard and ours else self._strange(turn))

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
        await answer(query)
        if update.effective_chat is not None and update.effective_chat.type != ChatType.PRIVATE:
            return
        press = pressed(query.data)
        stranger = self._strangers.get(press.action) if press else None
        if stranger is not None and await self._chats.known(query.from_user.id) is None:
            await show(self._answers, query, stranger(self._texts(self._spoken(update))))
            return
        turn = await self._turn(update)
        if turn is None:
            return
        handler = self._presses.get(press.action) if press else None
        said = await handler(turn, press) if handler and press else None
        await show(self._answers, query, said or self._outdated(turn))

    async def slow(self, update: Update) -> None:
        """Too much of a person's at once: said once, and not again until they are heard again (`turnstile`)."""
        who = update.effective_chat or update.effective_user
        if who is None or (update.effective_chat and update.effective_chat.type != ChatType.PRIVATE):
            return
        known = await self._chats.known(who.id)
        t = self._texts(known.subscriber.language if known else self._spoken(update))
        try:
            await say(self._answers, who.get_bot(), who.id, self._welcome.slower(t.lang))
        except TelegramError as error:
            log.debug("telegram dialogue: nobody could be asked to be slower", error=type(error).__name__)

    def _help(self, turn: Turn) -> Screen:
        return self._welcome.help(turn.lang, self.menu(turn.lang))

    async def _helped(self, turn: Turn, _press: Press) -> Screen:
        return self._help(turn)

    def _strange(self, turn: Turn) -> Screen:
        return self._welcome.strange(turn.lang, sought(turn.said) if SEEK in self._presses else "")

    def _outdated(self, turn: Turn) -> Screen:
        return self._welcome.outdated(turn.lang)

    async def _turn(self, update: Update, said: str = "") -> Turn | None:
        account = await self._account(update)
        who = update.effective_chat or update.effective_user
        if account is None or who is None:
            return None
        t, message, query = self._texts(account.subscriber.language), update.message, update.callback_query
        replied = message.reply_to_message.message_id if message and message.reply_to_message else None
        shown = query.message.text if query and isinstance(query.message, Message) else None
        return Turn(account, t, self._clock(), who.id, who.get_bot(), said, replied, shown or "")

    async def _account(self, update: Update) -> Account | None:
        who = update.effective_chat or update.effective_user
        if who is None:
            return None
        return await self._chats.chat(who.id, language=self._spoken(update), now=self._clock())

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
            trouble = self._welcome.trouble(await self._language_of(update))
            await say(self._answers, message.get_bot(), message.chat.id, trouble)


def _in_every_language(questions: Mapping[str, Heard], texts: Texts) -> dict[str, Heard]:
    return {texts(lang)(asked): heard for asked, heard in questions.items() for lang in texts.languages}


def _joined(parts: Iterable[Mapping[str, _Value]]) -> dict[str, _Value]:
    """All of them in one.

    Raises:
        ValueError: two want the same name.
    """
    joined: dict[str, _Value] = {}
    for part in parts:
        if twice := joined.keys() & part.keys():
            raise ValueError(f"telegram dialogue: two parts want {', '.join(sorted(twice))}")
        joined.update(part)
    return joined
