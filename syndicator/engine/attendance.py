"""Who is here: this process's row among Procrastinate's workers, and its signs of life.

Rules, in order:

1. A process has one row; its number is what it claims deliveries and jobs under.
2. It is sure of itself for a while after its last sign of life was on its way, by a clock that nobody sets. A row that
   a judge has taken away is found missing at the next one: it registers anew, under another number.
3. At its end it takes its row away itself.
4. With each sign it hears what the database's clock says (`agreed`; see `syndicator.clock`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import structlog
from procrastinate import PsycopgConnector
from procrastinate.manager import JobManager

from syndicator.clock import steady
from syndicator.ending import ended
from syndicator.engine.line import plainly
from syndicator.engine.rhythm import Rhythm
from syndicator.engine.trying import Trying

__all__ = ["Attended"]

log = structlog.get_logger()

BEAT = """UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp() WHERE id = %(number)s
    RETURNING last_heartbeat"""
SOON = 1.0  # seconds after a sign that failed
STRIKING = 3.0  # seconds for the row to be taken away


class Attended:
    """See the module's rules, and `domain.ports.Attendance`."""

    def __init__(self, connector: PsycopgConnector, rhythm: Rhythm, agreed: Callable[[datetime, float], None]) -> None:
        self._connector = connector
        self._agreed = agreed
        self._manager = JobManager(connector)
        self._rhythm = rhythm
        self._number: int | None = None
        self._beaten = -rhythm.sure
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int | None:
        """Under which claims are made; it changes after this process was taken for dead."""
        return self._number

    def is_sure(self) -> bool:
        """Whether nobody can have taken this process for dead."""
        return self._number is not None and steady() - self._beaten < self._rhythm.sure

    async def start(self) -> None:
        """Register, and go on giving signs of life.

        Raises:
            QueueTrouble: the database cannot be reached.
        """
        await self._beat()
        self._task = asyncio.create_task(self._run(), name="attendance")

    async def stop(self, *, strike: bool = True) -> None:
        """Give no more signs of life, and take the row away; safe to call twice.

        Without `strike`, and where the database is gone, the others find out by the silence: something that only the
        living may do may not have ended yet.
        """
        if self._task is not None:
            await ended(self._task)
            self._task = None
        number, self._number = self._number, None
        if number is not None and strike:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(STRIKING), plainly():
                    await self._manager.unregister_worker(number)

    async def _run(self) -> None:
        trying, pause = Trying("no sign of life can be given; tried again"), self._rhythm.beat
        while True:
            await asyncio.sleep(pause)
            went = await trying.goes(self._beat)
            pause = self._rhythm.beat if went else min(SOON, self._rhythm.beat)

    async def _beat(self) -> None:
        begun = steady()  # not when it was answered: others count from the moment it was written
        async with plainly():
            if self._number is not None:
                rows = await self._connector.execute_query_all_async(BEAT, number=self._number)
                for row in rows:
                    self._agreed(row["last_heartbeat"], begun)
                if not rows:
                    log.warning("this process was taken for dead; it registers anew", number=self._number)
                    self._number = None
            if self._number is None:
                self._number = await self._manager.register_worker()
                log.info("this process counts as alive", number=self._number)
        self._beaten = begun
