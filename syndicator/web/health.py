"""For machines: is the process alive, is it ready, and its numbers.

1. `/healthz` touches nothing: it answers as long as the event loop turns.
2. `/readyz` is 200 only if the database answers, its schema is ours, and every role that this process has is well: its
   feeds have been built, it counts as alive with the others. A database that says nothing for `ANSWER` seconds does not
   answer.
3. `/readyz/feeds` is 200 if feeds have been built, whatever the database does: by it a balancer finds who answers what
   is kept in memory. Where no pages are served there is none.
4. A process that serves no pages answers these three at an address of its own (`make_monitor`).
5. `/metrics` fills the gauges that only the database knows, each time it is asked. While it is away, the rest is told
   without them, and that it is: an alarm about the database could be read by nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from weakref import WeakKeyDictionary, WeakSet

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from syndicator.store import lag, ledger, migrate, pauses, sourcing, subscriptions
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.web.parts import MAX_BODY, PARTS, Parts
from syndicator.web.rendering import NO_STORE

__all__ = ["feeds_stand", "healthz", "machine_routes", "make_monitor", "metrics", "readyz"]

log = structlog.get_logger()

ANSWER = 3.0  # seconds for the database, when somebody asks whether all is ready
_asked: WeakKeyDictionary[Database, asyncio.Task[bool | None]] = WeakKeyDictionary()
_silent: WeakSet[Database] = WeakSet()


def machine_routes() -> list[web.RouteDef]:
    """Their addresses."""
    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/readyz/feeds", feeds_stand),
        web.get("/metrics", metrics),
    ]


def make_monitor(parts: Parts) -> web.Application:
    """The application of a process that serves nothing else."""
    app = web.Application(client_max_size=MAX_BODY)
    app[PARTS] = parts
    app.add_routes(machine_routes())
    return app


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz."""
    return web.Response(text="ok\n", headers={"Cache-Control": NO_STORE})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: what is ready, as JSON."""
    parts = request.app[PARTS]
    database = bool(await _is_ours(parts))
    roles = {name: is_well() for name, is_well in parts.roles.items()}
    said = (
        {"database": database, "feeds": parts.publisher.newest() is not None}
        if parts.serves
        else {"database": database}
    )
    ready = all(said.values()) and all(roles.values())
    return web.json_response(
        {"ready": ready, **said, "roles": roles, "seats": [name for name, taken in parts.seats.items() if taken()]},
        status=200 if ready else 503,
        headers={"Cache-Control": NO_STORE},
    )


async def feeds_stand(request: web.Request) -> web.Response:
    """GET /readyz/feeds: whether feeds, and what else needs no database, are answered here."""
    parts = request.app[PARTS]
    if not parts.serves:
        raise web.HTTPNotFound
    stand = parts.publisher.newest() is not None
    return web.json_response({"feeds": stand}, status=200 if stand else 503, headers={"Cache-Control": NO_STORE})


async def _is_ours(parts: Parts) -> bool | None:
    """Whether the database's schema is ours; None where it does not answer.

    Who asks while it hangs waits for one answer together.
    """
    asking = _asked.get(parts.database)
    if asking is None:
        asking = _asked[parts.database] = asyncio.create_task(_ask(parts), name="is the database ready?")
        asking.add_done_callback(lambda _: _asked.pop(parts.database, None))
    done, _ = await asyncio.wait([asking], timeout=ANSWER)
    if not done:
        _say(parts.database, "no answer in time")
    return asking.result() if done else None


def _say(database: Database, trouble: str) -> None:
    """What the database does, once: balancers ask every second."""
    if (database in _silent) == bool(trouble):
        return
    if trouble:
        _silent.add(database)
        log.warning("database does not answer", error=trouble)
    else:
        _silent.discard(database)
        log.info("database answers again")


async def _ask(parts: Parts) -> bool | None:
    try:
        current = await migrate.is_current(parts.database)
    except (OSError, SQLAlchemyError) as error:
        _say(parts.database, type(error).__name__)
        return None
    _say(parts.database, "")
    return current


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the Prometheus text format."""
    parts = request.app[PARTS]
    numbers, newest = parts.metrics, parts.publisher.newest()
    numbers.feed_age.set((parts.clock() - newest).total_seconds() if newest and parts.serves else float("nan"))
    numbers.database_answers.set(await _fill_if_it_answers(parts))
    body = generate_latest(numbers.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": NO_STORE})


async def _fill_if_it_answers(parts: Parts) -> bool:
    """Whether it did. What it said before is told no more when it does not: nobody knows whether it is still so."""
    if await _is_ours(parts) is not None:
        try:
            await _fill(parts)
        except DatabaseTrouble:
            pass  # told by the answer
        else:
            return True
    numbers = parts.metrics
    for one in (numbers.oldest_due, numbers.unknown):
        one.set(float("nan"))
    for several in (
        numbers.deliveries,
        numbers.subscriptions,
        numbers.channel_lag,
        numbers.pauses,
        numbers.source_problems,
    ):
        several.clear()
    return False


async def _fill(parts: Parts) -> None:
    numbers, now = parts.metrics, parts.clock()
    async with parts.database.reading() as session:
        deliveries = await ledger.counts(session)
        oldest = await ledger.oldest_due(session)
        waiting = await lag.oldest_open_batches(session)
        paused = await pauses.live(session, now)
        live = await subscriptions.counts(session)
        problems = Counter(problem.source for problem in await sourcing.problems(session))
    numbers.oldest_due.set(max(0.0, (now - oldest).total_seconds()) if oldest else 0)
    numbers.unknown.set(sum(count for (_, state), count in deliveries.items() if state == "unknown"))
    for gauge, counts in ((numbers.deliveries, deliveries), (numbers.subscriptions, live)):
        gauge.clear()
        for (channel, state), count in counts.items():
            gauge.labels(channel, state).set(count)
    numbers.channel_lag.clear()
    for channel, since in waiting.items():
        numbers.channel_lag.labels(channel).set(max(0.0, (now - since).total_seconds()))
    for scope, count in paused.items():
        numbers.pauses.labels(scope).set(count)
    numbers.source_problems.clear()
    for source, count in problems.items():
        numbers.source_problems.labels(source).set(count)
