"""The statements of the queue, on the library's tables and ours to answer for; see the rules of `engine.queue`."""

from __future__ import annotations

from syndicator.engine.line import MOVED, TOLD

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
    args = CASE WHEN excluded.attempts > waiting.attempts
        OR excluded.attempts = waiting.attempts AND waiting.scheduled_at > excluded.scheduled_at
        THEN waiting.args || jsonb_build_object('delay', excluded.args -> 'delay') ELSE waiting.args END,
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
# By the database's clock alone, which alone has written `scheduled_at`: nothing waits for longer than it was to.
LATE = f"""
WITH put AS (
    UPDATE procrastinate_jobs SET scheduled_at = NULL
    WHERE status = 'todo' AND scheduled_at > now() + interval '1 minute'
        + CASE jsonb_typeof(args -> 'delay') WHEN 'number' THEN CAST(args ->> 'delay' AS double precision) ELSE 0 END
        * interval '1 second'
    RETURNING true AS moved
) {SAID}
"""  # noqa: S608  # put together of constants
# What runs for nobody is put in anew, under a number of its own; where one waits already, that one takes its place.
ANEW = """
gone AS (DELETE FROM procrastinate_jobs WHERE status = 'doing' AND {whose} RETURNING *),
put AS (
    INSERT INTO procrastinate_jobs AS waiting
        (queue_name, task_name, priority, lock, queueing_lock, args, attempts, scheduled_at)
    SELECT queue_name, task_name, priority, lock, queueing_lock, args, {attempts}, {later} FROM gone ORDER BY gone.id
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET
        priority = greatest(waiting.priority, excluded.priority),
        attempts = greatest(waiting.attempts, excluded.attempts),
        scheduled_at = excluded.scheduled_at
    RETURNING coalesce(queueing_lock, task_name) AS key
)
"""
STRAY = "worker_id = %(worker)s AND id <> ALL(%(known)s)"
STRAYS = f"""
WITH {ANEW.format(whose=STRAY, attempts="attempts", later="NULL::timestamptz")}
SELECT key, pg_notify('{MOVED}', '') FROM put
"""  # noqa: S608  # put together of constants
# Whoever ran it died: a job that brings down who runs it comes back later each time, but for seats, which never wait.
DIED = f"""
WITH {
    ANEW.format(
        whose="(worker_id = ANY(%(dead)s) OR worker_id IS NULL)",
        attempts="CASE task_name WHEN 'seat' THEN 0 ELSE attempts + 1 END",
        later='''CASE WHEN task_name <> 'seat' AND attempts >= 2 THEN clock_timestamp() + interval '1 second'
        * least(2.0 ^ least(attempts, 6), CASE WHEN priority >= -10 THEN 5 ELSE 60 END) END''',
    )
}
SELECT key, pg_notify('{MOVED}', '') FROM put
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
