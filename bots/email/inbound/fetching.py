"""Fetching mail from a mailbox that is for nothing else, every so often.

Rules, in order:

1. A mail is deleted only after what followed from it is committed, or it is kept as a file (`intake`). A session that
   breaks in between, or a process that dies, takes it in again, and that changes nothing.
2. A mail that cannot be taken in now stays, and so does one at which a session breaks; both come after all others the
   next time, so that they hold nothing up. `PUT_OFF` of them end a session.
3. A session takes `BATCH` mails and ends, since POP3 deletes only then; the next one follows at once while there are
   more.
4. An error is one line and a number, and the next time comes. Stopping cuts the line: nothing waits for a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from bots.email.inbound.apart import apart
from bots.email.inbound.intake import Intake
from bots.email.inbound.mailboxes import Mailbox
from syndicator.metrics import Metrics

__all__ = ["BATCH", "Fetcher"]

log = structlog.get_logger()

BATCH = 100
PUT_OFF = 20
_REMEMBERED = 10_000


class Fetcher:
    """A part of the service. `connect` gives a new session, which is not open yet; `interval` is in seconds."""

    def __init__(self, connect: Callable[[], Mailbox], intake: Intake, *, interval: float, metrics: Metrics) -> None:
        self._connect = connect
        self._intake = intake
        self._interval = interval
        self._metrics = metrics
        self._box: Mailbox | None = None
        self._late: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to fetch."""
        self._task = asyncio.create_task(self._run(), name="mail-fetcher")

    async def stop(self) -> None:
        """End; safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        if self._box is not None:
            self._box.abort()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while True:
            try:
                more = await self.once()
            except OSError as error:
                self._failed(error)
                more = False
            except Exception as error:
                self._metrics.intake_failures.labels(type(error).__name__).inc()
                log.exception("mail could not be fetched")
                more = False
            await asyncio.sleep(0 if more else self._interval)

    async def once(self) -> bool:
        """One session; whether there is more to be taken at once.

        Raises:
            OSError: the server did not do its part. What was taken in so far is taken in.
        """
        box = self._box = self._connect()
        try:
            await apart(box.open)
            mails = await apart(box.mails)
            self._late &= set(mails)
            taken = put_off = 0
            for mail in sorted(mails, key=self._late.__contains__):  # it keeps the order of the others
                done = await self._one(box, mail)
                taken, put_off = taken + done, put_off + (not done)
                if taken == BATCH or put_off == PUT_OFF:
                    break
            await apart(box.close)
            return taken == BATCH
        finally:
            box.abort()
            self._box = None

    async def _one(self, box: Mailbox, mail: str) -> bool:
        """Take one mail in, then delete it; False where it must wait."""
        known = mail in self._late
        if len(self._late) < _REMEMBERED:
            self._late.add(mail)
        data, whole = await apart(partial(box.read, mail))
        try:
            await self._intake.take(data, whole=whole)
        except OSError as error:
            if not known:
                self._failed(error)
            return False
        await apart(partial(box.delete, mail))
        self._late.discard(mail)
        return True

    def _failed(self, error: OSError) -> None:
        self._metrics.intake_failures.labels(type(error).__name__).inc()
        log.warning("mail cannot be fetched now", reason=str(error) or type(error).__name__)
