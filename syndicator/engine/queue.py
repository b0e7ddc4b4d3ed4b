"""Our jobs in Procrastinate's tables: how one is written there, put in, put back and read again.

Rules, in order:

1. A job's key is its `queueing_lock`: of those that wait there is one. Another of the same key makes it earlier or more
   important, in one statement that never fails: nobody's transaction is spoiled by a job that waits already.
2. Its key is its `lock`, too: it never runs beside itself, on whatever machine. With an index of ours on it (`schema`)
   that costs nothing: a millisecond for the next of 2,000, as without.
3. Its lane is its queue; the more important (smaller) priority is the larger number there.
4. `attempts` counts failures in a row. A job that failed comes back at its time, whoever asks for it meanwhile.
5. Due times are this program's: what is due in a minute is due a minute later by the database's clock, whatever either
   clock shows. Where one of them was set meanwhile, so that a job would wait for longer than it should, it does not.
6. A turn of a timetable is a row of Procrastinate's own table of turns. The few that were asked for last are kept, so
   that who is late makes none twice, and a clock that was set back by more is believed.
7. The next job is found as the library's own function finds it, but among the tasks that are known here: what a newer
   version has put in is left where it is, neither taken nor in the way of what waits behind it.
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
from syndicator.engine.line import MOVED, TOLD, plainly

__all__ = ["Lane", "Post", "Queue", "Waiting", "job_of"]

MICROSECOND = timedelta(microseconds=1)
NEW = """jsonb_to_recordset(CAST({jobs} AS jsonb)) AS new (n integer, queue text, task text, priority integer,
    key text, args jsonb, delay double precision, failures integer)"""
PUT = f"""
INSERT INTO procrastinate_jobs AS waiting
    (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts)
SELECT queue, task, priority, key, key, args,
    CASE WHEN delay > 0 THEN clock_timestamp() + delay * interval '1 second' END, failures
FROM {NEW} {{also}}
ORDER BY n
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET
    priority = greatest(waiting.priority, excluded.priority),
    attempts = greatest(waiting.attempts, excluded.attempts),
    scheduled_at = CASE
        WHEN excluded.attempts > waiting.attempts THEN excluded.scheduled_at
        WHEN excluded.attempts < waiting.attempts THEN waiting.scheduled_at
        WHEN waiting.scheduled_at > excluded.scheduled_at THEN excluded.scheduled_at
        WHEN excluded.scheduled_at IS NOT NULL THEN waiting.scheduled_at
    END
WHERE excluded.priority > waiting.priority OR excluded.attempts > waiting.attempts
    OR excluded.attempts = waiting.attempts AND waiting.scheduled_at IS NOT NULL
        AND (excluded.scheduled_at IS NULL OR excluded.scheduled_at < waiting.scheduled_at)
RETURNING xmax <> 0 AS moved
"""  # noqa: S608  # put together of constants
SAID = f"SELECT pg_notify('{MOVED}', '') FROM put WHERE moved LIMIT 1"  # noqa: S608  # a constant
ASKED = f"WITH put AS ({PUT.format(jobs='{jobs}', also='')}) {SAID}"
BACK = f"""
WITH gone AS (DELETE FROM procrastinate_jobs WHERE id = %(id)s AND status = 'doing' RETURNING id),
put AS ({PUT.format(jobs="%(jobs)s", also="CROSS JOIN gone")}) {SAID}
"""  # noqa: S608  # put together of constants
TURN = f"""
WITH turn AS (
    INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
    VALUES (%(task)s, %(key)s, %(moment)s) ON CONFLICT DO NOTHING RETURNING id
), forgotten AS (
    DELETE FROM procrastinate_periodic_defers WHERE id IN (
        SELECT old.id FROM procrastinate_periodic_defers AS old CROSS JOIN turn
        WHERE old.task_name = %(task)s AND old.periodic_id = %(key)s ORDER BY old.id DESC OFFSET 4)
), put AS ({PUT.format(jobs="%(jobs)s", also="CROSS JOIN turn")}) {SAID}
"""  # noqa: S608  # put together of constants
DONE = "DELETE FROM procrastinate_jobs WHERE id = %(id)s AND status = 'doing'"
BOARD = """
SELECT queue_name, max(priority) FILTER (WHERE known AND wait <= 0) AS priority,
    min(wait) FILTER (WHERE known AND wait > 0) AS wait,
    array_agg(DISTINCT task_name) FILTER (WHERE NOT known) AS strange
FROM (SELECT queue_name, task_name, priority, task_name = ANY(%(tasks)s) AS known,
        coalesce(extract(epoch FROM scheduled_at - now()), 0)::double precision AS wait
    FROM procrastinate_jobs WHERE status = 'todo') AS waiting
GROUP BY queue_name
"""
# Of one lock goes what is more important, then what came first, and nothing while one of it runs.
TAKE = """
WITH candidate AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'todo' AND queue_name = ANY(%(lanes)s) AND task_name = ANY(%(tasks)s)
        AND (scheduled_at IS NULL OR scheduled_at <= now())
        AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs AS other
            WHERE other.lock = job.lock AND (other.status = 'doing' OR other.status = 'todo'
                AND (other.priority > job.priority OR other.priority = job.priority AND other.id < job.id)))
    ORDER BY priority DESC, id LIMIT 1 FOR UPDATE OF job SKIP LOCKED
)
UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = %(worker)s FROM candidate
WHERE job.id = candidate.id
RETURNING job.id, job.status, job.task_name, job.priority, job.lock, job.queueing_lock, job.args, job.scheduled_at,
    job.queue_name, job.attempts, job.worker_id
"""
WAITING = """
SELECT queueing_lock, status = 'doing' AS running, priority, attempts,
    scheduled_at IS NULL OR scheduled_at <= now() AS due
FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND queueing_lock IS NOT NULL
ORDER BY status = 'todo'
"""
LATE = f"""
WITH put AS (
    UPDATE procrastinate_jobs SET scheduled_at = NULL
    WHERE status = 'todo' AND scheduled_at > now() + interval '1 minute'
        + greatest(interval '0', CAST(args ->> 'due' AS timestamptz) - CAST(%(now)s AS timestamptz))
    RETURNING true AS moved
) {SAID}
"""  # noqa: S608  # put together of constants
TELL = f"SELECT pg_notify('{TOLD}', '')"
FORGET = f"""
WITH gone AS (DELETE FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock = ANY(%(keys)s) RETURNING id)
SELECT pg_notify('{TOLD}', '') FROM gone LIMIT 1
"""  # noqa: S608  # put together of constants
ENSURE = """
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
SELECT CAST(%(key)s AS text), CAST(%(task)s AS text), 0, CAST(%(key)s AS text), CAST(%(key)s AS text), '{}'
WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE lock = CAST(%(key)s AS text) AND status IN ('todo', 'doing'))
ON CONFLICT DO NOTHING
"""


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
                "args": {"due": job.due.isoformat(), "args": dict(job.args)},
                "delay": (job.due - now).total_seconds(),
                "failures": failures,
            }
            for n, job in enumerate(ordered)
        ]
    )


def job_of(row: jobs.Job) -> Job:
    """Our job as it was put in; what another version wrote differently has what it needs by default."""
    kept: Mapping[str, Any] = row.task_kwargs
    due = datetime.fromisoformat(str(kept.get("due") or "1970-01-01T00:00:00+00:00"))
    return Job(
        name=row.task_name,
        key=row.queueing_lock or f"{row.task_name}:{row.id}",
        priority=_priority(-row.priority),
        due=due if due.tzinfo else due.replace(tzinfo=UTC),
        lane=row.queue,
        args=dict(kept.get("args") or {}),
    )


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
        await self._run(LATE, now=self._clock().isoformat())

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
        return jobs.Job.from_row(rows[0]) if rows else None

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
