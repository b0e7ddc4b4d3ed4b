"""The gate in front of the Bot API: every message, edit, deletion and forward of a broadcast passes it.

Rules, in order:

1. A call waits for its slot (`limits.Pacer`). A wait of up to two seconds is waited out; a longer one is `MustWait`, so
   that the ledger keeps the row and not a worker.
2. What a crowd is about to get is kept before it goes out: a restart then keeps its pace too.
3. A 429 pauses what it must, at once here and then in the database, before the caller hears of it.
4. What could not be kept is kept when it can be: with the next one, or at the end (`flush`), for who comes after us.
   Who takes over reads what others have kept meanwhile (`begin`).
5. Answers in a dialogue do not pass here; they are noted (`Pacer.note`), and a 429 to one is told by `flooded`: it is
   counted and kept like every other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from telegram.error import RetryAfter

from bots.telegram.kept import BOT, Pause
from bots.telegram.limits import Pacer, Rank
from bots.telegram.pauses import Pauses
from syndicator.metrics import Metrics

__all__ = ["PATIENCE", "MustWait", "Pace", "seconds_of"]

PATIENCE = timedelta(seconds=2)
T = TypeVar("T")

log = structlog.get_logger()


class MustWait(Exception):
    """No slot soon; nothing was sent. `until` is when to try again."""

    def __init__(self, until: datetime, reason: str) -> None:
        super().__init__(reason)
        self.until = until
        self.reason = reason


def seconds_of(error: RetryAfter) -> float:
    """How long a 429 asks to wait."""
    # What pickling carries is the one way to the number that does not warn of a change to come.
    return max(1.0, float(error.__reduce__()[1][0]))


class Pace:
    """Slots for one bot. `sleep` takes seconds; `metrics`, where given, count 429s."""

    def __init__(
        self,
        pacer: Pacer,
        pauses: Pauses,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: Metrics | None = None,
    ) -> None:
        self.pacer = pacer
        self._pauses = pauses
        self._sleep = sleep
        self._metrics = metrics
        self._restored = False
        self._restoring = asyncio.Lock()
        self._owed: dict[str, Pause] = {}  # by scope, what could not be kept yet

    async def begin(self, now: datetime) -> None:
        """This process sends from now on, after another perhaps."""
        self.pacer.begin(now)
        self._restored = False
        await self.restore(now)

    async def flush(self) -> None:
        """Keep what could not be kept yet; what still cannot is said."""
        for pause in list(self._owed.values()):
            await self._keep(pause)

    async def restore(self, now: datetime | None = None) -> None:
        """Take up what was kept, once; where it cannot be read it is tried again at the next call."""
        if self._restored:
            return
        async with self._restoring:
            if self._restored:
                return
            try:
                self.pacer.restore(await self._pauses.load(), now)
            except OSError as error:
                log.warning("kept pauses of telegram cannot be read yet", reason=str(error))
            else:
                self._restored = True

    async def call(
        self,
        chat: int | str,
        send: Callable[[], Awaitable[T]],
        moment: Callable[[], datetime],
        rank: Rank = Rank.NORMAL,
    ) -> T:
        """Make one call for that chat when its turn has come; `moment` tells the time.

        Raises:
            MustWait: not soon; nothing was sent.
            TelegramError: as `send` does; a 429 has been noted and kept.
        """
        await self._slot(chat, moment, rank)
        try:
            if (spent := self.pacer.spent(chat, moment())) is not None:
                await self._keep(spent)
            return await send()
        except RetryAfter as error:
            await self.flooded(chat, seconds_of(error), moment())
            raise
        finally:
            self.pacer.answered(chat, moment())

    async def _slot(self, chat: int | str, moment: Callable[[], datetime], rank: Rank) -> None:
        ticket = self.pacer.ask(chat, rank)
        last = moment() + PATIENCE
        try:
            while (when := self.pacer.turn(ticket, now := moment())) > now:
                if when > last:
                    paused = self.pacer.paused_until(chat, now) is not None
                    raise MustWait(when, "Telegram asked for a pause" if paused else "keeping Telegram's pace")
                await self._sleep((when - now).total_seconds())
        finally:
            self.pacer.leave(ticket)

    async def flooded(self, chat: int | str, seconds: float, now: datetime, *, in_dialogue: bool = False) -> None:
        """That chat answered 429: pause what must pause, and keep it. See `Pacer.too_many`."""
        if self._metrics is not None:
            self._metrics.floods.inc()
        for pause in self.pacer.too_many(chat, seconds, now, in_dialogue=in_dialogue):
            whole = pause.scope == BOT
            say = log.error if whole else log.warning
            say(
                "telegram asked the bot to slow down: nothing is broadcast meanwhile"
                if whole
                else "telegram asked for a pause",
                scope=pause.scope if whole else "chat",
                until=pause.until.isoformat(),
            )
            await self._keep(pause)

    async def _keep(self, pause: Pause) -> None:
        owed, self._owed = {**self._owed, pause.scope: pause}, {}
        try:
            for one in list(owed.values()):
                await self._pauses.keep(one)
                del owed[one.scope]
        except OSError as error:  # it holds in memory; only another process would not know
            self._owed = {**owed, **self._owed}
            log.warning("a pause of telegram cannot be kept", scope=pause.scope.partition(":")[0], reason=str(error))
