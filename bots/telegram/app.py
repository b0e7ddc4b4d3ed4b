"""The bot's life inside the service's own loop: it comes up, listens by polling or webhook, and goes down cleanly.

Rules, in order:

1. Nothing that Telegram does stops the service or the bot: a refused token, a second poller, a dead line or an answer
   that makes no sense is one clear log line when it begins, and one when it ends; meanwhile the bot waits and tries
   again, however long that lasts. No log line shows an exception's chain: the library's own errors hold the token.
2. An update is confirmed only after it was handled, so a crash repeats it and handlers are safe to repeat. Updates of
   one chat are handled in order, those of different chats side by side.
3. A webhook call without our secret is 403, compared in constant time; a body that is too large is 413.
4. The library gets no scheduler, no updater and no rate limiter: there is one loop, one schedule and one pace, ours.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog
from aiohttp import web
from telegram import BotCommand, Update
from telegram.error import BadRequest, Conflict, InvalidToken, RetryAfter, TelegramError
from telegram.ext import Application, ApplicationBuilder, ExtBot

from bots.telegram.channel import TelegramChannel
from bots.telegram.dialogue import Chats, Dialogue
from bots.telegram.limits import Pacer, Pause, chat_scope
from bots.telegram.outcomes import TOKEN_PAUSE
from bots.telegram.pauses import Pauses
from bots.telegram.talk.turns import Part
from bots.telegram.talk.waiting import Answers
from bots.telegram.transport import AiohttpRequest, hide_token
from config.settings import TelegramSettings
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics

__all__ = ["ALLOWED_UPDATES", "WEBHOOK_PATH", "TelegramBot"]

ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member")
WEBHOOK_PATH = "/telegram/webhook"
_LONG_POLL = timedelta(seconds=50)
_MAX_BODY = 1_000_000
_HANDLING = 25.0
_GRACE = 5.0
_SIDE_BY_SIDE = 8
_LONGEST_WAIT = 30.0
_REMEMBERED = 1000

log = structlog.get_logger()


class TelegramBot:
    """One bot. Needs `settings.token`; without one there is no bot, only `outbox.FileTelegram`."""

    def __init__(
        self,
        settings: TelegramSettings,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        chats: Chats,
        clock: Clock,
        more: Sequence[Part] = (),
        metrics: Metrics | None = None,
        poll_for: timedelta = _LONG_POLL,
    ) -> None:
        if settings.token is None:
            raise ValueError("telegram.token is not set: there is no bot to run")
        token = settings.token.get_secret_value()
        hide_token(token)
        self._settings = settings
        self._site = site
        self._texts = texts
        self._taxonomy = taxonomy
        self._clock = clock
        self._poll_for = poll_for
        self.pacer = Pacer(settings.per_second)
        self._requests = (AiohttpRequest(pool=16), AiohttpRequest(pool=1))
        root = settings.api_root.rstrip("/")
        self.bot = ExtBot(
            token,
            base_url=f"{root}/bot",
            base_file_url=f"{root}/file/bot",
            request=self._requests[0],
            get_updates_request=self._requests[1],
        )
        self._app: Application[Any, Any, Any, Any, Any, Any] = (
            ApplicationBuilder().bot(self.bot).updater(None).job_queue(None).build()
        )
        self._metrics = metrics
        self._answers = Answers(
            gone=lambda chat, reason: chats.blocked(chat, reason=reason), slowed=self._slowed, told=self._answered
        )
        self._dialogue = Dialogue(
            chats, self._answers, site=site, texts=texts, taxonomy=taxonomy, clock=clock, more=more
        )
        self._app.add_handlers(list(self._dialogue.handlers()))
        self._app.add_error_handler(self._dialogue.failed)
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self._trouble = ""
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._handled: deque[int] = deque(maxlen=_REMEMBERED)
        self._seats = asyncio.Semaphore(_SIDE_BY_SIDE)

    @property
    def username(self) -> str:
        """The bot's public name without @; "" until Telegram has told it."""
        return self.bot.username if self._ready else ""

    def channel(self, pauses: Pauses) -> TelegramChannel:
        """The way out that shares this bot's connections and pace."""
        return TelegramChannel(
            self.bot, site=self._site, texts=self._texts, taxonomy=self._taxonomy, pacer=self.pacer, pauses=pauses
        )

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook, where the configuration wants one."""
        return [web.post(WEBHOOK_PATH, self._webhook)] if self._settings.mode == "webhook" else []

    async def start(self) -> None:
        """Come up in the background; returns at once, raises nothing that Telegram did."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="telegram-bot")

    async def stop(self) -> None:
        """Finish what is being handled, confirm it, close the connections; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._answers.close()
        if self._ready:
            self._ready = False
            await self._app.shutdown()
        for request in self._requests:
            await request.shutdown()

    async def _run(self) -> None:
        try:
            await self._until_done(self._come_up)
            self._ready = True
            await self._introduce()
            if self._settings.mode == "polling":
                await self._poll()
        except Exception as error:  # noqa: BLE001  # each step catches its own; a traceback could hold the token
            log.error(  # noqa: TRY400
                "the telegram bot has stopped by a fault of its own; the rest of the service goes on",
                error=fault(error),
            )

    async def _come_up(self) -> None:
        await self._app.initialize()
        if self._settings.mode == "webhook":
            secret = self._settings.webhook_secret
            await self.bot.set_webhook(
                self._site.base_url + WEBHOOK_PATH,
                secret_token=secret.get_secret_value() if secret else None,
                allowed_updates=list(ALLOWED_UPDATES),
            )
        else:
            await self.bot.delete_webhook()

    async def _until_done(self, step: Callable[[], Awaitable[None]]) -> None:
        tries = 0
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001  # whatever it is: say it, and try again
                await asyncio.sleep(self._worried(error, tries))
                tries += 1
            else:
                self._relieved()
                return

    async def _poll(self) -> None:
        offset: int | None = None
        tries = 0
        try:
            while True:
                try:
                    updates = await self.bot.get_updates(
                        offset=offset, timeout=self._poll_for, allowed_updates=list(ALLOWED_UPDATES)
                    )
                except Exception as error:  # noqa: BLE001  # whatever it is: say it, and try again
                    await asyncio.sleep(self._worried(error, tries))
                    tries += 1
                    continue
                tries = 0
                self._relieved()
                if updates:
                    offset = updates[-1].update_id + 1
                    await _to_the_end(self._handle_all(updates))
        finally:
            if offset is not None:
                await self._confirm(offset)

    async def _confirm(self, offset: int) -> None:
        """Tell Telegram how far we are, so that the next start does not repeat it."""
        try:
            async with asyncio.timeout(2):
                await self.bot.get_updates(offset=offset, limit=1, timeout=0, allowed_updates=list(ALLOWED_UPDATES))
        except Exception as error:  # noqa: BLE001  # we are going down; the next start hears them once more
            log.debug("telegram: the last updates stay unconfirmed", error=type(error).__name__)

    async def _handle_all(self, updates: Sequence[Update]) -> None:
        """All of them; one that cannot be handled is told, and keeps nobody else from being heard."""
        outcomes = await asyncio.gather(*(self._handle(update) for update in updates), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                log.error("telegram: an update could not be handled", error=fault(outcome))

    async def _handle(self, update: Update) -> None:
        """One update, once; in order within its chat, since locks are given in the order they are asked for."""
        who = update.effective_chat or update.effective_user
        lock = self._locks.setdefault(who.id if who else 0, asyncio.Lock())
        async with lock, self._seats:
            if update.update_id in self._handled:
                return
            if who is not None:
                self.pacer.note(who.id, self._clock())
            await self._app.process_update(update)
            self._handled.append(update.update_id)

    def _slowed(self, chat: int, seconds: float) -> None:
        """An answer was told to wait: what is broadcast to that chat waits too."""
        until = self._clock() + timedelta(seconds=seconds)
        self.pacer.restore([Pause(chat_scope(chat), until, "429")])

    def _answered(self, what: str) -> None:
        if self._metrics is not None:
            self._metrics.telegram_answers.labels(what).inc()

    async def _webhook(self, request: web.Request) -> web.Response:
        """Telegram calls; 200 says that the update was handled, anything else brings it again."""
        secret = self._settings.webhook_secret
        given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        if secret is None or not hmac.compare_digest(given.encode(), secret.get_secret_value().encode()):
            return web.Response(status=403)
        body = await _bounded(request)
        if body is None:
            return web.Response(status=413)
        if not self._ready:
            return web.Response(status=503, headers={"Retry-After": "5"})
        try:
            update = Update.de_json(json.loads(body), self.bot)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return web.Response(status=400)
        try:
            async with asyncio.timeout(_HANDLING):
                await self._handle(update)
        except TimeoutError:
            return web.Response(status=503, headers={"Retry-After": "5"})
        return web.Response()

    async def _introduce(self) -> None:
        """Menu and descriptions in every language; what cannot be set now is set at the next start."""
        try:
            for lang in ("", *self._site.languages):
                await self._introduce_in(lang)
        except Exception as error:  # noqa: BLE001  # a bot without its menu still works
            log.warning("telegram: menu and descriptions could not be set", error=fault(error))

    async def _introduce_in(self, code: str) -> None:
        """Only what differs is written: these methods are rationed. "" is what all other languages see."""
        lang = code or self._site.default_language
        wanted = tuple(BotCommand(name, what[:256]) for name, what in self._dialogue.menu(lang))
        if await self.bot.get_my_commands(language_code=code or None) != wanted:
            await self.bot.set_my_commands(wanted, language_code=code or None)
        said = self._dialogue.description(lang)
        if (await self.bot.get_my_description(language_code=code or None)).description != said:
            await self.bot.set_my_description(said, language_code=code or None)
        short = self._dialogue.short_description(lang)
        if (await self.bot.get_my_short_description(language_code=code or None)).short_description != short:
            await self.bot.set_my_short_description(short, language_code=code or None)

    def _worried(self, error: Exception, tries: int) -> float:
        """Say what is wrong, once; returns the seconds to wait. An InvalidToken's own text holds the token."""
        wait = min(_LONGEST_WAIT, 2.0 ** min(tries, 10))
        if isinstance(error, InvalidToken):
            trouble = "telegram refuses the bot's token: set telegram.token and restart; everything else goes on"
            wait = TOKEN_PAUSE.total_seconds()
            self.pacer.hold(self._clock() + TOKEN_PAUSE)
        elif isinstance(error, Conflict):
            trouble = "telegram: another program polls with this bot's token; stop it, or give this one its own bot"
            wait = _LONGEST_WAIT
        elif isinstance(error, RetryAfter):
            trouble = "telegram: too many calls, waiting"
            wait = float(error.__reduce__()[1][0])
        elif isinstance(error, BadRequest):
            trouble = f"telegram: {error.message}"
            wait = _LONGEST_WAIT
        elif isinstance(error, TelegramError):
            # One broken long poll is nothing to tell; two in a row are.
            trouble = f"telegram cannot be reached: {error.message}" if tries else self._trouble
        else:
            trouble = f"telegram's answer cannot be understood ({fault(error)}); check telegram.api_root"
        if trouble != self._trouble:
            self._trouble = trouble
            log.error(trouble)
        return wait

    def _relieved(self) -> None:
        if self._trouble:
            self._trouble = ""
            log.info("telegram answers again")


def fault(error: BaseException) -> str:
    """What went wrong and where, without the error's own words and without what it came from."""
    steps = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}{where}"


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it all, even when we are told to stop meanwhile; then stop."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_GRACE)
        raise


async def _bounded(request: web.Request) -> bytes | None:
    if (request.content_length or 0) > _MAX_BODY:
        return None
    try:
        body = await request.read()  # the application has read it already, in bounded time; streams are read once only
    except web.HTTPRequestEntityTooLarge:
        return None
    return body if len(body) <= _MAX_BODY else None
