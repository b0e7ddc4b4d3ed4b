"""The door that Telegram's calls come in by: who may call, and what is an update. On many machines all of it.

Rules, in order:

1. A call without our secret is 403, compared in constant time; a body that is too large is 413.
2. What has our secret and is no update is 400, and one line in the log.
3. On many machines any of them takes an update: it is in the database before 200 is answered
   (`store.telegram_updates`), and the one process that has the bot's seat deals with it (`letterbox`). One that is
   brought again is 200, too.
4. Where it cannot be kept, or `MOST` wait already, it is 503 with Retry-After: Telegram keeps it, and calls again.

https://core.telegram.org/bots/api#setwebhook
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from typing import Any

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from syndicator.domain.ports import Clock
from syndicator.store import telegram_updates
from syndicator.store.database import Database

__all__ = ["LATER", "WEBHOOK_PATH", "Door", "admitted", "read"]

WEBHOOK_PATH = "/telegram/webhook"
LATER = {"Retry-After": "5"}
MOST = 10_000  # updates that may wait
_MAX_BODY = 1_000_000
_NUMBERS = range(2**63)

log = structlog.get_logger()


async def admitted(request: web.Request, secret: str) -> bytes | int:
    """The call's body, or the status of one that may not come in (rule 1)."""
    given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "").encode(errors="surrogateescape")
    if not secret or not hmac.compare_digest(given, secret.encode()):
        return 403
    body = await _bounded(request)
    return 413 if body is None else body


async def _bounded(request: web.Request) -> bytes | None:
    if (request.content_length or 0) > _MAX_BODY:
        return None
    try:
        body = await request.read()  # the application has read it already, in bounded time; streams are read once only
    except web.HTTPRequestEntityTooLarge:
        return None
    return body if len(body) <= _MAX_BODY else None


def read(body: bytes) -> tuple[int, dict[str, Any]] | None:
    """The update's number, and all of it; None, and a line in the log, if it is none."""
    try:
        given = json.loads(body)
        number = given["update_id"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        log.warning("telegram: a call to our webhook is no update", error=type(error).__name__)
        return None
    if type(number) is not int or number not in _NUMBERS:
        log.warning("telegram: a call to our webhook is no update", error="its number")
        return None
    return number, given


class Door:
    """Takes updates on any machine. `bot` is the bot's own number."""

    def __init__(self, database: Database, bot: int, secret: str, clock: Clock) -> None:
        self._database = database
        self._bot = bot
        self._secret = secret
        self._clock = clock

    def routes(self) -> Sequence[web.RouteDef]:
        """Where Telegram calls."""
        return [web.post(WEBHOOK_PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """One call of Telegram's."""
        body = await admitted(request, self._secret)
        if isinstance(body, int):
            return web.Response(status=body)
        found = read(body)
        if found is None:
            return web.Response(status=400)
        try:
            kept = await self._keep(*found)
        except RecursionError as error:  # so deep that it could just be read
            log.warning("telegram: a call to our webhook is no update", error=type(error).__name__)
            return web.Response(status=400)
        except (OSError, SQLAlchemyError) as error:
            log.warning("telegram: an update cannot be kept now; it comes again", reason=type(error).__name__)
            kept = False
        return web.Response() if kept else web.Response(status=503, headers=LATER)

    async def _keep(self, number: int, given: dict[str, Any]) -> bool:
        async with self._database.writing() as session:
            if await telegram_updates.waits(session, self._bot, MOST) >= MOST:
                log.error("telegram: too many updates wait; does any process have the role bot?")
                return False
            await telegram_updates.keep(session, self._bot, number, json.dumps(given), self._clock())
        return True
