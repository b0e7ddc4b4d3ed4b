"""Listening by webhook: Telegram calls us.

Rules, in order:

1. Who may call, and what is an update, says `door`.
2. An update that cannot be read is 200: as an error it would come again for a day, and be read no better. It is one
   line in the log.
3. 2xx is answered after the update was handled, so a crash brings it again. What takes long is 503 with Retry-After,
   and goes on meanwhile: the repetition finds it under way, or done.
4. The webhook is looked at now and then: somebody who set another, or took it away, is told to the operator, and ours
   is set again; so is what Telegram says of deliveries that failed.
5. On many machines `door` takes the calls, and only rule 4 is ours.

https://core.telegram.org/bots/api#setwebhook
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from aiohttp import web
from telegram import Bot, Update, WebhookInfo

from bots.telegram.desk import Desk
from bots.telegram.door import LATER, admitted, read
from bots.telegram.polling import ALLOWED_UPDATES, Sleep
from bots.telegram.trouble import Trouble, fault

__all__ = ["Webhook", "as_update"]

LOOK_EVERY = timedelta(minutes=5)
PATIENCE = 20.0

log = structlog.get_logger()


class Webhook:
    """The way in for Telegram's calls; `open` while the bot is up."""

    def __init__(self, bot: Bot, desk: Desk, trouble: Trouble, *, url: str, secret: str, sleep: Sleep) -> None:
        self._bot = bot
        self._desk = desk
        self._trouble = trouble
        self._url = url
        self._secret = secret
        self._sleep = sleep
        self._failed_at: datetime | None = None
        self.open = False

    async def set(self) -> None:
        """Tell Telegram where we are."""
        await self._bot.set_webhook(self._url, secret_token=self._secret, allowed_updates=list(ALLOWED_UPDATES))

    async def watch(self) -> None:
        """Take calls, and see to it that Telegram goes on calling us; until it is cancelled."""
        self.open = True
        try:
            await self._watch()
        finally:
            self.open = False

    async def _watch(self) -> None:
        tries = 0
        wait = LOOK_EVERY.total_seconds()
        while True:
            await self._sleep(wait)
            try:
                info = await self._bot.get_webhook_info()
                self._tell(info)
                if info.url != self._url:
                    await self.set()
            except Exception as error:  # noqa: BLE001  # whatever it is: say it, and look again
                wait = self._trouble.begins(error, tries)
                tries += 1
            else:
                tries, wait = 0, LOOK_EVERY.total_seconds()
                self._trouble.ends()

    def _tell(self, info: WebhookInfo) -> None:
        if info.url != self._url:
            log.error(
                "telegram: another program took this bot's webhook away; ours is set again. "
                "Stop the other one, or give this one its own bot"
            )
        elif info.last_error_date is not None and info.last_error_date != self._failed_at:
            self._failed_at = info.last_error_date
            log.warning(
                "telegram: a call to our webhook failed",
                said=info.last_error_message,
                at=info.last_error_date.isoformat(),
                waiting=info.pending_update_count,
            )

    async def receive(self, request: web.Request) -> web.Response:
        """One call of Telegram's."""
        body = await admitted(request, self._secret)
        if isinstance(body, int):
            return web.Response(status=body)
        if not self.open:
            return web.Response(status=503, headers=LATER)
        found = read(body)
        if found is None:
            return web.Response(status=400)
        update = as_update(*found, self._bot)
        if update is None:
            return web.Response()
        self._desk.take(update)
        if not await self._desk.done([update.update_id], PATIENCE):
            return web.Response(status=503, headers=LATER)
        return web.Response()


def as_update(number: int, given: dict[str, Any], bot: Bot) -> Update | None:
    """The update, under that number; None, and a line in the log, if it cannot be read (rule 2)."""
    try:
        return Update.de_json({**given, "update_id": number}, bot)
    except Exception as error:  # noqa: BLE001  # whatever such numbers do to the library
        log.warning("telegram: an update cannot be read, and is passed over", update=number, error=fault(error))
        return None
