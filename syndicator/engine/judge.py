"""The judge: whose signs of life have ended, and what becomes of their jobs. Every process that plans has one.

Rules, in order:

1. Nobody is judged by a date: a worker is dead whose last sign of life has not changed for a while, by this process's
   steady clock, while it looked all the time. After a gap in looking (the database was gone, this process was frozen)
   counting begins anew for all: then all look dead.
2. Jobs of the dead are replaced: a new one, under a new number, for each. A frozen worker that wakes up finishes
   nothing. Its row goes in the same transaction, so that it takes nothing new. A job that brings down whoever runs it
   waits from the third time on, longer each time, and is named in the log; a seat never waits.
3. Several judges agree: the row is taken away by one of them, and only as it was seen.
4. Afterwards whoever keeps the ledger is told, and from time to time besides: a judge may die between the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from procrastinate import PsycopgConnector

from syndicator.clock import steady
from syndicator.ending import ended
from syndicator.engine.line import plainly
from syndicator.engine.rhythm import Rhythm
from syndicator.engine.statements import DIED
from syndicator.engine.trying import Trying

__all__ = ["Judge"]

log = structlog.get_logger()

SAID = 20  # jobs named in one line

LOOK = """
SELECT id, last_heartbeat,
    EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status = 'doing' AND worker_id IS NULL) AS orphans
FROM procrastinate_workers
"""
SEEN = "SELECT id FROM procrastinate_workers WHERE id = %s AND last_heartbeat = %s FOR UPDATE SKIP LOCKED"
BURY = "DELETE FROM procrastinate_workers WHERE id = ANY(%s)"


@dataclass(slots=True)
class _Seen:
    """The last sign of life of each worker, and since when it has been the last, by the steady clock."""

    signs: dict[int, tuple[datetime, float]] = field(default_factory=dict)
    looked: float | None = None

    def note(self, found: dict[int, datetime], now: float, gap: float) -> None:
        anew = self.looked is None or now - self.looked > gap
        self.looked = now
        kept = {} if anew else self.signs
        self.signs = {
            worker: kept[worker] if worker in kept and kept[worker][0] == sign else (sign, now)
            for worker, sign in found.items()
        }

    def silent(self, now: float, dead: float) -> dict[int, datetime]:
        return {worker: sign for worker, (sign, since) in self.signs.items() if now - since >= dead}


class Judge:
    """See the module's rules. `bereaved` is told when somebody has died, and from time to time."""

    def __init__(
        self,
        connector: PsycopgConnector,
        rhythm: Rhythm,
        own: Callable[[], int | None],
        bereaved: Callable[[], Awaitable[None]],
    ) -> None:
        self._connector = connector
        self._rhythm = rhythm
        self._own = own
        self._bereaved = bereaved
        self._seen = _Seen()
        self._told_at: float | None = None
        self._owes = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="judge")

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def _run(self) -> None:
        trying = Trying("nobody can be judged now; tried again")
        while True:
            await asyncio.sleep(self._rhythm.look)
            await trying.goes(lambda: self.look(steady()))

    async def look(self, now: float) -> None:
        """One look at `now` of the steady clock; whoever has been silent for too long is buried.

        Raises:
            QueueTrouble: the database fails.
        """
        async with plainly():
            rows = await self._connector.execute_query_all_async(LOOK)
            self._seen.note({row["id"]: row["last_heartbeat"] for row in rows}, now, self._rhythm.dead / 4)
            silent = self._seen.silent(now, self._rhythm.dead)
            silent.pop(self._own() or 0, None)
            died = bool(silent or any(row["orphans"] for row in rows)) and await self._bury(silent)
        if self._told_at is None:
            self._told_at = now - self._rhythm.sweep + self._rhythm.dead  # not before anybody could have been judged
        if died or self._owes or now - self._told_at >= self._rhythm.sweep:
            self._owes = True
            await self._bereaved()
            self._owes, self._told_at = False, now

    async def _bury(self, silent: dict[int, datetime]) -> bool:
        async with self._connector.pool.connection() as line, line.transaction():
            dead = []
            for worker, sign in silent.items():
                if await (await line.execute(SEEN, (worker, sign))).fetchone():
                    dead.append(worker)
            jobs = [row[0] for row in await (await line.execute(DIED, {"dead": dead})).fetchall()]
            await line.execute(BURY, (dead,))
        if dead or jobs:
            log.warning(
                "workers died; their jobs are done anew", workers=dead, jobs=jobs[:SAID], and_more=len(jobs[SAID:])
            )
        return bool(dead or jobs)
