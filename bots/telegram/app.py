"""The bot's life inside the service's own loop: it comes up, listens by polling or webhook, and goes down cleanly.

Rules, in order:

1. Nothing that Telegram does stops the service or the bot: trouble is one clear log line when it begins, and one when
   it ends (`trouble`); meanwhile the bot waits and tries again, however long that lasts.
2. One desk handles what is heard (`desk`), whether it was polled for (`polling`) or brought to us (`webhook`).
3. Answers to people have connections of their own: a broadcast, however large or stalled, holds up no dialogue.
4. One sender per bot: another program with our token shows as a second poller or another webhook, and is told at once.
   On one database the service's own lock lets nobody else begin, or one process at a time has the bot's seat (`seat`):
   the others keep quiet (`tenure`).
5. The library gets no scheduler, no updater and no rate limiter: there is one loop, one schedule and one pace, ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog
from aiohttp import web
from telegram import Update
from telegram.ext import Application, ApplicationBuilder, ExtBot

from bots.telegram.desk import Desk
from bots.telegram.dialogue import Chats, Dialogue
from bots.telegram.door import WEBHOOK_PATH
from bots.telegram.introducing import introduce
from bots.telegram.limits import Pacer
from bots.telegram.pace import Pace
from bots.telegram.pauses import Pauses
from bots.telegram.polling import GRACE, LONG_POLL, Polling, Sleep
from bots.telegram.sizing import LANES, most
from bots.telegram.standing import Reopened, Standing
from bots.telegram.talk.turns import Part
from bots.telegram.talk.waiting import Answers
from bots.telegram.tenure import Tenure
from bots.telegram.transport import AiohttpRequest, hide_token
from bots.telegram.trouble import Trouble, fault
from bots.telegram.turnstile import Turnstile
from bots.telegram.webhook import Webhook
from config.settings import DigestSettings, TelegramSettings
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.digests import schedule_of

__all__ = ["TelegramBot"]

ANSWERS, BROADCASTS, POLLS = 8, 16, 1  # connections
Named = Callable[[str], Awaitable[None]]
"""Told the bot's public name; never raises."""

log = structlog.get_logger()


class TelegramBot:
    """One bot. Needs `settings.token`; without one there is no bot, only `outbox.FileTelegram`.

    `bot` answers people, `sender` broadcasts: each has connections of its own. Both share `pace`, and what it keeps
    goes to `pauses`.
    """

    def __init__(
        self,
        settings: TelegramSettings,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        chats: Chats,
        pauses: Pauses,
        clock: Clock,
        schedule: Schedule | None = None,
        more: Sequence[Part] = (),
        metrics: Metrics | None = None,
        reopened: Reopened | None = None,
        tenure: Tenure | None = None,
        named: Named | None = None,
        poll_for: timedelta = LONG_POLL,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        token, tenure = _token(settings), tenure or Tenure()
        self._settings = settings
        self._site = site
        self._clock = clock
        self._sleep = sleep
        self._metrics = metrics
        self.pacer = Pacer(settings.per_second, begun=clock())
        self.pace = Pace(self.pacer, pauses, metrics=metrics)
        self._requests = answers, broadcasts, polls = _connections(settings, tenure)
        self.bot, self.sender = (_line(settings, token, one, polls) for one in (answers, broadcasts))
        self._answers = Answers(
            gone=lambda chat, reason: chats.blocked(chat, reason=reason), slowed=self._slowed, told=self._answered
        )
        self._dialogue = Dialogue(
            chats,
            self._answers,
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            clock=clock,
            schedule=schedule or schedule_of(DigestSettings()),
            more=more,
        )
        self._app = _application(self.bot, self._dialogue)
        ours = [*(channel.chat for channel in settings.channels), settings.audit_chat]
        self._standing = Standing(ours, reopened)
        self._trouble = Trouble(clock, self.pacer.hold)
        self.desk = Desk(self._handle, turnstile=Turnstile(ours), slow=self._dialogue.slow)
        self._polling = Polling(self.bot, self.desk, self._trouble, tenure, poll_for=poll_for, sleep=sleep)
        self._webhook = self._hooked(settings)
        self._task: asyncio.Task[None] | None = None
        self._named = named
        self._ready = False

    def _hooked(self, settings: TelegramSettings) -> Webhook:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        url = self._site.base_url + WEBHOOK_PATH
        return Webhook(self.bot, self.desk, self._trouble, url=url, secret=secret, sleep=self._sleep)

    @property
    def username(self) -> str:
        """The bot's public name without @; "" until Telegram has told it."""
        return self.bot.username if self._ready else ""

    @property
    def is_up(self) -> bool:
        """Whether it can answer: Telegram knows it, and it was not stopped."""
        return self._ready

    @property
    def trouble(self) -> str:
        """What is wrong with the line to Telegram now; "" if nothing is."""
        return self._trouble.said

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook, where the configuration wants one."""
        return [web.post(WEBHOOK_PATH, self._webhook.receive)] if self._settings.mode == "webhook" else []

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
        await self.desk.close(GRACE)
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
            if self._named is not None:
                await self._named(self.bot.username)
            listening = asyncio.create_task(self._listen(), name="telegram-listening")
            try:
                await introduce(self.bot, self._dialogue, self._site.languages, self._site.default_language)
                await listening
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        except Exception as error:  # noqa: BLE001  # each step catches its own; a traceback could hold the token
            log.error(  # noqa: TRY400
                "the telegram bot has stopped by a fault of its own; the rest of the service goes on",
                error=fault(error),
            )

    async def _come_up(self) -> None:
        await self._app.initialize()
        if self._settings.mode == "webhook":
            await self._webhook.set()
        else:
            await self.bot.delete_webhook()

    async def _listen(self) -> None:
        if self._settings.mode == "webhook":
            await self._webhook.watch()
        else:
            await self._polling.run()

    async def _until_done(self, step: Callable[[], Awaitable[None]]) -> None:
        tries = 0
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001  # whatever it is: say it, and try again
                await self._sleep(self._trouble.begins(error, tries))
                tries += 1
            else:
                self._trouble.ends()
                return

    async def _handle(self, update: Update) -> None:
        if update.my_chat_member is not None:
            await self._standing.heard(update.my_chat_member)
        who = update.effective_chat or update.effective_user
        if who is not None:
            self.pacer.note(who.id, self._clock())
        await self._app.process_update(update)

    async def _slowed(self, chat: int, seconds: float) -> None:
        """An answer was told to wait: what is broadcast to that chat waits too."""
        await self.pace.flooded(chat, seconds, self._clock(), in_dialogue=True)

    def _answered(self, what: str) -> None:
        if self._metrics is not None:
            self._metrics.telegram_answers.labels(what).inc()


def _token(settings: TelegramSettings) -> str:
    """The bot's token, which no log shows from now on."""
    if settings.token is None:
        raise ValueError("telegram.token is not set: there is no bot to run")
    token = settings.token.get_secret_value()
    hide_token(token)
    return token


def _connections(settings: TelegramSettings, tenure: Tenure) -> tuple[AiohttpRequest, AiohttpRequest, AiohttpRequest]:
    """For answers, broadcasts and polls."""
    pools = ANSWERS, max(BROADCASTS, LANES * most(settings.per_second)), POLLS
    answers, broadcasts, polls = (AiohttpRequest(pool=pool, may=tenure.holds) for pool in pools)
    return answers, broadcasts, polls


def _line(settings: TelegramSettings, token: str, request: AiohttpRequest, polls: AiohttpRequest) -> ExtBot[None]:
    root = settings.api_root.rstrip("/")
    return ExtBot(
        token,
        base_url=f"{root}/bot",
        base_file_url=f"{root}/file/bot",
        request=request,
        get_updates_request=polls,
        local_mode=False,
    )


def _application(bot: ExtBot[None], dialogue: Dialogue) -> Application[Any, Any, Any, Any, Any, Any]:
    made: Application[Any, Any, Any, Any, Any, Any] = (
        ApplicationBuilder().bot(bot).updater(None).job_queue(None).build()
    )
    made.add_handlers(list(dialogue.handlers()))
    made.add_error_handler(dialogue.failed)
    return made
