"""One handler, one world of pending work, and each engine over them: what the port's promises are tried on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg

from syndicator.domain.model import Priority
from syndicator.domain.ports import Done, Engine, Job, Turn, Verdict
from syndicator.engine.cluster import ClusterEngine
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.engine.rhythm import Rhythm
from syndicator.metrics import Metrics

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REAL = Rhythm(beat=0.3, sure=2.2, dead=3.0, look=0.1, poll=0.2)
"""For processes on a machine that may have much else to do."""
FAST = Rhythm(beat=0.2, sure=0.9, dead=1.2, look=0.05, poll=0.05, sweep=30.0, settle=0.0)


class Desk:
    """A handler that notes what it did, and a world whose pending work can be set."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.world: list[Job] = []
        self.now = NOW
        self.work: Callable[[Job, Turn], Awaitable[Verdict]] | None = None

    async def handle(self, job: Job, turn: Turn) -> Verdict:
        if self.work is not None:
            return await self.work(job, turn)
        self.done.append(job.key)
        return Done()

    async def pending(self, now: datetime) -> Sequence[Job]:
        return [job for job in self.world if job.key not in self.done]

    def always_fails(self) -> list[str]:
        """Work that never succeeds; the list grows by each try."""
        tries: list[str] = []

        async def work(found: Job, turn: Turn) -> Verdict:
            tries.append(found.key)
            raise OSError("down")

        self.work = work
        return tries


class Floor(Protocol):
    """An engine, how it is begun and ended, and how its time goes by."""

    desk: Desk
    engine: Engine

    async def idle(self) -> bool:
        """Whether nothing runs and nothing is due now."""
        ...

    async def advance(self, span: timedelta) -> None:
        """Time goes by, for the program and for the database."""
        ...

    async def has_failed(self, key: str, times: int) -> None:
        """A waiting job of that key has failed so often already."""
        ...

    async def end(self) -> None:
        """Stop, and leave nothing open."""
        ...


class EmbeddedFloor:
    """The engine inside the process."""

    def __init__(self, desk: Desk, **lanes: int) -> None:
        self.desk = desk
        self.engine = EmbeddedEngine(
            {"work": desk.handle}, desk.pending, clock=lambda: desk.now, metrics=Metrics(), lanes=lanes
        )

    async def idle(self) -> bool:
        return self.engine.idle

    async def advance(self, span: timedelta) -> None:
        self.desk.now += span
        self.engine.wake()

    async def has_failed(self, key: str, times: int) -> None:
        self.engine._failures.counts[key] = times

    async def end(self) -> None:
        await self.engine.stop(1)


class ClusterFloor:
    """The engine of many machines, on a database of its own. `more` goes to the engine."""

    def __init__(self, desk: Desk, url: str, *, more: Mapping[str, Any] | None = None, **lanes: int) -> None:
        self.desk = desk
        self.url = url
        settings: dict[str, Any] = {"rhythm": FAST, **(more or {})}
        handlers = settings.pop("handlers", {"work": desk.handle})
        self.engine = ClusterEngine(
            url, handlers, desk.pending, clock=lambda: desk.now, metrics=Metrics(), lanes=lanes, **settings
        )

    async def idle(self) -> bool:
        due = "status = 'doing' OR status = 'todo' AND coalesce(scheduled_at, now()) <= now()"
        planner = self.engine._planner
        calm = (planner is None or planner.idle) and not self.engine._crew.busy
        return calm and not await self.rows(f"SELECT 1 FROM procrastinate_jobs WHERE {due}")

    async def advance(self, span: timedelta) -> None:
        await until(self._none_runs)
        self.desk.now += span
        await self.rows(
            "UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - %s WHERE status = 'todo' RETURNING id", span
        )
        self.engine.wake()

    async def _none_runs(self) -> bool:
        return not await self.rows("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing'")

    async def has_failed(self, key: str, times: int) -> None:
        await self.rows("UPDATE procrastinate_jobs SET attempts = %s WHERE queueing_lock = %s RETURNING id", times, key)

    async def end(self) -> None:
        await self.engine.stop(1)
        await self.engine.leave()

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database answers."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as line:
            return await (await line.execute(query, values or None)).fetchall()


def job(key: str, priority: Priority = Priority.NORMAL, *, due: datetime = NOW, lane: str = "main") -> Job:
    return Job("work", key, priority, due, lane=lane)


async def until(true: Callable[[], bool | Awaitable[bool]], seconds: float = 90) -> None:
    """Wait for what should become true."""
    async with asyncio.timeout(seconds):
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.002)
