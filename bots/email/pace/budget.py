"""The rate of all mail, where several processes send: grants from the one row that they share (`store.rates`).

Rules, in order:

1. Who has a chunk of bulk asks for its turns (`turns`) before it goes to the relay, first come, first served; lanes
   wait here, in memory, and not by way of the ledger. So few statements are needed as a quarter of a second's worth
   allows (`allowance`), and the next grant is asked for while the last one is used.
2. Nobody waits longer than `PATIENCE`; what finds no turn until then is put off, and nothing more is claimed until
   there may be some (`ready_in`).
3. Without the database what was granted may go, and nothing else but what may not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bots.email.pace.allowance import QUARTER, Allowance
from syndicator.store import rates
from syndicator.store.database import Database
from syndicator.store.rates import Budget

__all__ = ["SharedRate"]

PATIENCE = 2.5  # seconds: whoever claimed in time still counts as alive when it is over (`domain.ports.Attendance`)
AGAIN = 0.25  # seconds until somebody who found nothing asks again
AHEAD = 2.0  # seconds that turns are given out ahead
SOON = 1.0  # seconds that mail may be behind before nothing more is claimed
NAME = "mail"

log = structlog.get_logger()


class SharedRate:
    """See the module. `per_second` is what all processes may send together; `ticks` only go forward."""

    def __init__(
        self,
        per_second: float,
        database: Database,
        *,
        ticks: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.allowance = Allowance(per_second)
        second, burst = timedelta(seconds=1), self.allowance.most
        self._budget = Budget(NAME, per_second, second, burst, max(AHEAD * second, 2 * burst * second / per_second))
        self._database = database
        self._ticks = ticks
        self._sleep = sleep
        self._line = asyncio.Lock()  # whoever asks first is served first
        self._waiting = 0
        self._full_until = 0.0
        self._is_away = False
        self._asking: asyncio.Task[None] | None = None

    async def turns(self, number: int) -> int:
        """How many of so many mails may go now, as soon as some may; 0: none within `PATIENCE`."""
        if not number:
            return 0
        deadline = self._ticks() + PATIENCE
        self._waiting += number
        held = 0
        try:
            async with self._line:
                held = await self._served(number, deadline)
        finally:
            self._waiting -= number
        if self._asking is None and self.allowance.runs_low(self._ticks()):
            self._asking = asyncio.create_task(self._ask_ahead(), name="turns of mail")
        return held

    def used(self) -> None:
        """One went that may not wait."""
        self.allowance.owe(self._ticks())

    def give_back(self, number: int) -> None:
        """Of the turns that were given just now so many are not needed."""
        self.allowance.give_back(number, self._ticks())

    def ready_in(self) -> float:
        """In how many seconds a chunk may be claimed: 0, or until what waits here will have gone (rule 2)."""
        behind = max(self._waiting * self.allowance.step, self._full_until - self._ticks())
        return behind if behind > SOON else 0.0

    async def pay(self) -> None:
        """Let the others know of what went without a turn."""
        if self.allowance.owed and not self._line.locked():
            async with self._line:
                await self._ask(0)

    async def _served(self, number: int, deadline: float) -> int:
        held, held_since = 0, 0.0
        while True:
            now = self._ticks()
            taken = self.allowance.take(number - held, now)
            held_since = held_since if held else now
            held += taken
            if held == number:
                return held
            comes = self.allowance.next_at(now)
            if comes is None and now < deadline:
                if await self._ask(self._waiting - held):
                    continue
                comes = self._ticks() + AGAIN
            if comes is None or comes > deadline or (held and comes > held_since + QUARTER):
                return held
            await self._sleep(max(comes - self._ticks(), 0.001))

    async def _ask_ahead(self) -> None:
        """The next grant comes while the last one is used, so that nobody waits for the database."""
        try:
            async with self._line:
                if self.allowance.runs_low(self._ticks()):
                    await self._ask(self._waiting)
        finally:
            self._asking = None

    async def stop(self) -> None:
        """End what is asked for ahead; safe to call twice."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def _ask(self, needed: int) -> bool:
        """Ask for a grant; False where there is none now."""
        number = self.allowance.wants(needed)
        try:
            async with self._database.writing() as session:
                await rates.in_haste(session)
                first = await rates.reserve(session, self._budget, number)
        except (SQLAlchemyError, OSError) as error:
            if not self._is_away:
                log.warning("the rate of all mail cannot be asked for", reason=type(error).__name__)
            self._is_away = True
            first = None
        else:
            self._is_away = False
        now = self._ticks()
        if first is None:
            self._full_until = now + AGAIN if not self._is_away else now + PATIENCE
            return False
        begins = now + first.total_seconds()
        self._full_until = begins
        self.allowance.granted(number, begins, now)
        return True
