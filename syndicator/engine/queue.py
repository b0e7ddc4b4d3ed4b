"""Our jobs in Procrastinate's tables: how one is written there, put in, put back and read again.

Rules, in order:

1. A job's key is its `queueing_lock`: of those that wait there is one. Another of the same key makes it earlier or more
   important, in one statement that never fails: nobody's transaction is spoiled by a job that waits already.
2. Its key is its `lock`, too: it never runs beside itself, on whatever machine. With an index of ours on it (`schema`)
   that costs nothing: a millisecond for the next of 2,000, as without.
3. Its lane is its queue; the more important (smaller) priority is the larger number there.
4. `attempts` counts failures in a row. A job that failed comes back at its time, whoever asks for it meanwhile.
5. Due times are this program's: what is due in a minute is due a minute later by the database's clock, whatever either
   clock shows. Where that was set back meanwhile, so that a job would wait for longer than it was to, it is due.
6. A turn of a timetable is a row of Procrastinate's own table of turns. The few that were asked for last are kept, so
   that who is late makes none twice, and a clock that was set back by more is believed.
7. The next job is found as the library's own function finds it, but among the tasks that are known here: what a newer
   version has put in is left where it is, neither taken nor in the way of what waits behind it.
8. Taking one is a transaction whose answer may be lost: the job then runs by the tables, and nowhere else. What a
   worker does not know that it has is put in anew, by itself; what it had known and is dead, by a judge.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from procrastinate import PsycopgConnector, jobs
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Priority
from syndicator.domain.ports import Clock, Job
from syndicator.engine.line import plainly
from syndicator.engine.statements import (
    ASKED,
    BACK,
    BOARD,
    DONE,
    ENSURE,
    FORGET,
    LATE,
    STRAYS,
    TAKE,
    TELL,
    TURN,
    WAITING,
)

__all__ = ["Lane", "Post", "Queue", "Waiting", "job_of"]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Lane:
    """The most important priority of what may begin now, and in how many seconds the next of the rest may.

    `strange` are the tasks that wait there and are not known here.
    """

    priority: int | None
    wait: float | None
    strange: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the job of a key is like: its importance, whether it may begin, how often it has failed, whether it runs."""

    priority: int
    due: bool
    failures: int
    running: bool = False

    def is_as_good_as(self, job: Job) -> bool:
        """Whether asking for `job` now would change nothing."""
        return self.priority <= job.priority and (self.due or self.failures > 0)


def rows_of(jobs_: Sequence[Job], now: datetime, failures: int = 0) -> str:
    """The jobs as one JSON text, as `NEW` reads it; the more important first, then the earlier."""
    latest: dict[str, Job] = {}
    for job in jobs_:
        known = latest.get(job.key, job)
        latest[job.key] = replace(job, due=min(job.due, known.due), priority=min(job.priority, known.priority))
    ordered = sorted(latest.values(), key=lambda job: (job.priority, max(job.due, now), job.key))
    return json.dumps(
        [
            {
                "n": n,
                "queue": job.lane,
                "task": job.name,
                "priority": -int(job.priority),
                "key": job.key,
                "args": {"due": job.due.isoformat(), "args": dict(job.args), "delay": _wait(job, now)},
                "delay": _wait(job, now),
                "failures": failures,
            }
            for n, job in enumerate(ordered)
        ]
    )


def _wait(job: Job, now: datetime) -> float:
    """Seconds."""
    return max((job.due - now).total_seconds(), 0.0)


def job_of(row: jobs.Job) -> Job:
    """Our job as it was put in; what another version wrote differently, or cannot be read, is as by default."""
    kept: Mapping[str, Any] = row.task_kwargs
    args = kept.get("args")
    return Job(
        name=row.task_name,
        key=row.queueing_lock or f"{row.task_name}:{row.id}",
        priority=_priority(-row.priority),
        due=_due(kept.get("due")),
        lane=row.queue,
        args=dict(args) if isinstance(args, Mapping) else {},
    )


def _due(said: object) -> datetime:
    try:
        due = datetime.fromisoformat(str(said))
        return (due if due.tzinfo else due.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def _priority(number: int) -> Priority:
    """The least important of ours that is at least that: another version may have more of them."""
    return next((known for known in Priority if known >= number), max(Priority))


class Post:
    """Puts jobs into the queue with a transaction, and tells all processes when it commits; `store.wanted.Post`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: AsyncSession, jobs_: Sequence[Job]) -> None:
        """Part of the session's transaction, by its own connection."""
        if jobs_:
            await session.execute(text(ASKED.format(jobs=":jobs")), {"jobs": rows_of(jobs_, self._clock())})
        await session.execute(text(TELL))


class Queue:
    """What an engine asks of the tables. Everything raises `QueueTrouble` where the database fails."""

    def __init__(self, connector: PsycopgConnector, clock: Clock) -> None:
        self._connector = connector
        self._clock = clock

    async def put(self, jobs_: Sequence[Job]) -> None:
        """Rule 1."""
        if jobs_:
            await self._run(ASKED.format(jobs="%(jobs)s"), jobs=rows_of(jobs_, self._clock()))

    async def put_turn(self, job: Job, occurrence: datetime) -> None:
        """Rule 6: whoever asks for it first has asked for all."""
        moment = (occurrence - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND
        await self._run(TURN, task=job.name, key=job.key, moment=moment, jobs=rows_of([job], self._clock()))

    async def put_back(self, number: int, job: Job, *, failures: int = 0) -> None:
        """Instead of the running job of that number comes `job`, if nobody has taken its place."""
        await self._run(BACK, id=number, jobs=rows_of([job], self._clock(), failures))

    async def done(self, number: int) -> None:
        """The running job of that number is finished; where another has taken its place, nothing happens."""
        await self._run(DONE, id=number)

    async def catch_up(self) -> None:
        """What waits for longer than it should, since a clock was set, is due."""
        await self._run(LATE)

    async def ensure(self, key: str, task: str) -> None:
        """There is a job of that lock, waiting or running."""
        await self._run(ENSURE, key=key, task=task)

    async def forget(self, keys: Sequence[str]) -> None:
        """Take away what waits of these keys, and tell all: whoever still needs one asks for it."""
        await self._run(FORGET, keys=list(keys))

    async def board(self, tasks: Collection[str]) -> Mapping[str, Lane]:
        """What waits in each lane, of these tasks (rule 7)."""
        return {
            row["queue_name"]: Lane(
                None if row["priority"] is None else -row["priority"], row["wait"], row["strange"] or ()
            )
            for row in await self._all(BOARD, tasks=list(tasks))
        }

    async def take(self, lanes: Collection[str], tasks: Collection[str], worker: int) -> jobs.Job | None:
        """The next job of these lanes and tasks, that worker's from now on (rule 7)."""
        rows = await self._all(TAKE, lanes=list(lanes), tasks=list(tasks), worker=worker)
        if not rows:
            return None
        args = rows[0]["args"]
        return jobs.Job.from_row({**rows[0], "args": args if isinstance(args, dict) else {}})

    async def reclaim(self, worker: int, known: Collection[int]) -> Sequence[str]:
        """Put in anew what runs under that worker's number though it knows nothing of it; the keys (rule 8)."""
        return [row["key"] for row in await self._all(STRAYS, worker=worker, known=list(known))]

    async def waiting(self) -> Mapping[str, Waiting]:
        """All that waits or runs, by key; what waits, where a key does both."""
        return {
            row["queueing_lock"]: Waiting(-row["priority"], row["due"], row["attempts"], row["running"])
            for row in await self._all(WAITING)
        }

    async def _run(self, query: str, **arguments: Any) -> None:
        async with plainly():
            await self._connector.execute_query_async(query, **arguments)

    async def _all(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        async with plainly():
            found: list[dict[str, Any]] = await self._connector.execute_query_all_async(query, **arguments)
        return found
