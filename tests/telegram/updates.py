"""How a bot hears: long polling with offsets and 409, webhooks with secret, order and redelivery; kept for 24 hours.

Rules, in order:

1. An update waits until an offset passes it or a webhook answered it with 2xx, and for 24 hours at most.
2. `allowed_updates` holds from the call that says it, for what comes later; unsaid, it stays as it was.
3. A second getUpdates ends the first with 409; with a webhook every getUpdates is 409, and setting one ends a poll.
4. A webhook gets one update of a chat at a time, in order; up to `max_connections` side by side; what is not answered
   by 2xx is brought again, later each time, or when its Retry-After says.
5. A webhook is called only where a test said where its address leads (`lead`): nothing here leaves this machine.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from tests.telegram.faults import flooded
from tests.telegram.rules import Refusal, bad, check_webhook

KEPT = 24 * 3600
LONGEST_POLL = 50
BY_REQUEST = {"chat_member", "message_reaction", "message_reaction_count"}  # never sent unless they are asked for
ACTIVE = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
TERMINATED = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
OVERTAKEN = "Conflict: terminated by setWebhook request"
SECRET = "X-Telegram-Bot-Api-Secret-Token"


class Updates:
    """What waits for the bot."""

    def __init__(self, clock, changed, *, local=False):
        self.clock, self.changed, self.local = clock, changed, local
        self.webhook, self.sent = {}, []  # sent: (update_id, status) of each call to the webhook
        self.sleep = asyncio.sleep
        self.patience = 0.05  # seconds before the first redelivery; each waits twice as long
        self._waiting, self._last, self._allowed = {}, 0, None
        self._poll, self._gone = None, asyncio.Event()
        self._doors, self._tasks, self._session = {}, {}, None
        self._set_at, self._error = float("-inf"), None

    @property
    def pending(self):
        self._forget()
        return [update for update, _ in self._waiting.values()]

    def add(self, kind, body):
        """Something happened; the update, whether the bot wants to hear of it or not."""
        self._last += 1
        update = {"update_id": self._last, kind: body}
        if (self._allowed and kind not in self._allowed) or (not self._allowed and kind in BY_REQUEST):
            return update
        self._waiting[self._last] = (update, self.clock())
        self._deliver()
        return update

    # -- polling
    async def get(self, given):
        if self.webhook:
            raise Refusal(409, ACTIVE)
        if not 0 <= given.get("limit", 100) <= 100:
            raise bad("limit must be between 1 and 100 (the real server would bend it)")
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(TERMINATED)
        mine = self._poll = asyncio.get_running_loop().create_future()
        self._confirm(given.get("offset", 0))
        self._allow(given)
        await self._tell()
        await self._wait(mine, min(given.get("timeout", 0), LONGEST_POLL))
        if mine.done():
            raise Refusal(409, mine.result())
        mine.cancel()
        return self.pending[: given.get("limit", 100) or 100]

    def _confirm(self, offset):
        if offset < 0:
            offset = self._last + 1 + offset
        for number in [number for number in self._waiting if number < offset]:
            del self._waiting[number]

    def _allow(self, given):
        if "allowed_updates" in given:
            self._allowed = set(given["allowed_updates"]) or None

    async def _wait(self, mine, seconds):
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with self.changed:
                await asyncio.wait_for(
                    self.changed.wait_for(lambda: self.pending or mine.done() or self._gone.is_set()), seconds
                )

    def _forget(self):
        old = self.clock() - KEPT
        for number in [number for number, (_, at) in self._waiting.items() if at <= old]:
            del self._waiting[number]

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()

    # -- webhooks
    async def set(self, given):
        if not given["url"]:
            return await self.delete({})
        check_webhook(given, local=self.local)
        now = self.clock()
        if now < self._set_at + 1:
            raise flooded(1)
        self._set_at = now
        self._allow(given)
        if given.get("drop_pending_updates"):
            self._waiting.clear()
        self.webhook, self._error = given, None
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(OVERTAKEN)
        await self._tell()
        self._deliver()
        return True

    async def delete(self, given):
        self.webhook, self._error = {}, None
        if given.get("drop_pending_updates"):
            self._waiting.clear()
        await self._stop_deliveries()
        return True

    def info(self):
        answer = {"url": self.webhook.get("url", ""), "has_custom_certificate": False}
        answer["pending_update_count"] = len(self.pending)
        if self.webhook:
            answer["max_connections"] = self.webhook.get("max_connections", 40)
            if self._error:
                answer["last_error_date"], answer["last_error_message"] = self._error
        if self._allowed:
            answer["allowed_updates"] = sorted(self._allowed)
        return answer

    def lead(self, address, to):
        """What the bot calls `address` listens at `to` (http://127.0.0.1:PORT); deliveries begin."""
        self._doors[address] = to
        self._deliver()

    def _door(self):
        url = self.webhook.get("url", "")
        if self.local and url.startswith("http://127.0.0.1:"):
            return url
        return next((to + url.removeprefix(known) for known, to in self._doors.items() if url.startswith(known)), None)

    def _deliver(self):
        """Begin with each chat that has something waiting and nobody at it."""
        if self._door() is None or self._gone.is_set():
            return
        for update in self.pending:
            lane = _lane(update)
            if lane not in self._tasks and len(self._tasks) < self.webhook.get("max_connections", 40):
                task = asyncio.get_running_loop().create_task(self._lane(lane))
                self._tasks[lane] = task

    async def _lane(self, lane):
        """All that waits for one chat, in order."""
        tries = 0
        try:
            while self.webhook:
                update = next((one for one in self.pending if _lane(one) == lane), None)
                if update is None:
                    return
                status, wait = await self._call(update)
                self.sent.append((update["update_id"], status))
                if 200 <= status < 300:
                    self._waiting.pop(update["update_id"], None)
                    self._error, tries = None, 0
                    await self._tell()
                    continue
                tries += 1
                await self._tell()
                await self.sleep(wait or self.patience * 2 ** min(tries, 6))
        finally:
            self._tasks.pop(lane, None)
            if not self._gone.is_set():
                self._deliver()

    async def _call(self, update):
        """(status, seconds to wait) of one call; status 0 where there was no answer."""
        headers = {SECRET: self.webhook["secret_token"]} if self.webhook.get("secret_token") else {}
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        try:
            async with self._session.post(self._door(), json=update, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                said = answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._error = (int(self.clock()), "Connection refused")
            return 0, 0
        if not 200 <= answer.status < 300:
            message = f"Wrong response from the webhook: {answer.status} {answer.reason}"
            self._error = (int(self.clock()), message)
        return answer.status, float(said) if said.isdigit() else 0

    async def _stop_deliveries(self):
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self):
        self._gone.set()
        await self._tell()
        await self._stop_deliveries()
        if self._session is not None:
            await self._session.close()


def _lane(update):
    body = next(value for name, value in update.items() if name != "update_id")
    chat = body.get("chat") or (body.get("message") or {}).get("chat") or body.get("from") or {}
    return chat.get("id", 0)
