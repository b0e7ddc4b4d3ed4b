"""The hub's address, `/hub`: what is asked of it is taken down and answered at once; what follows happens elsewhere.

Rules, in order:

1. POST with a form: 202 once the wish is a row (WebSub section 5.1.2); verification follows by itself. What breaks a
   rule is answered in one line, before anything is kept or anybody asked.
2. `hub.mode=publish` is welcome and changes nothing: we know ourselves what changed.
3. A visitor has so many turns, and so has each callback's host (`hub_askers`). What is full is 429 or 503 with
   Retry-After. Nobody's address is kept.
4. The form is UTF-8, and what is not is refused rather than guessed: a secret must come as it was meant.
5. GET says in a few words what this is: 405.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from feeds.answering import plain
from feeds.hub_askers import Askers
from feeds.hub_asking import BadAsking, challenge, read_asking
from feeds.hub_topics import Topics
from syndicator.domain.ports import Clock
from syndicator.net import Networks
from syndicator.store import hub_requests
from syndicator.store.database import Database
from syndicator.store.hub_requests import Bounds, Full, Wish
from syndicator.web.subscribe import PROXIES
from syndicator.web.visitors import visitor

__all__ = ["hub_routes"]

log = structlog.get_logger()

FORM = "application/x-www-form-urlencoded"
MAX_BODY = 16 * 1024
MAX_FIELDS = 100

HELP = (
    "This is a WebSub hub (https://www.w3.org/TR/websub/). POST a form with hub.mode (subscribe or unsubscribe), "
    "hub.topic (a feed of this site, as its self link has it) and hub.callback; hub.lease_seconds and hub.secret "
    "if you like."
)
TAKEN = "The callback will be asked whether it agrees."
FULL = {
    Full.PAIR: (429, "as many requests for this callback and topic are waiting as may; try again later"),
    Full.HOST: (429, "this host has as many subscriptions or waiting requests as it may"),
    Full.ASKER: (429, "as many subscriptions or requests of yours as may are held or waiting; try again later"),
    Full.REQUESTS: (503, "the hub has much to do; try again later"),
    Full.LEASES: (503, "the hub has as many subscriptions as it may"),
    Full.TOPICS: (503, "the hub distributes as many custom feeds as it may; a feed of one topic may do"),
}
WAIT = "600"
BOUNDS = Bounds()


def hub_routes(
    database: Database,
    topics: Topics,
    *,
    own: str,
    allow: Networks,
    askers: Askers,
    clock: Clock,
    wake: Callable[[], None],
    bounds: Bounds = BOUNDS,
) -> list[web.RouteDef]:
    """The routes; `own` is the site's address, `allow` the private networks that callbacks may lie in all the same."""

    async def take(request: web.Request) -> web.Response:
        who = visitor(request.remote or "", request.headers.getall("X-Forwarded-For", ()), request.app[PROXIES])
        if wait := await askers.visitor(who, clock()):
            return _full(429, "too many requests from your address; try again later", wait)
        try:
            wish = read_asking(await _form(request), topics, own, allow, asker=askers.digest(who))
        except BadAsking as error:
            return plain(error.status, str(error))
        if wish is None:
            return plain(202, "Thank you; this hub knows by itself what has changed.")
        if topics.built < 0:
            return _full(503, "feeds are being built; try again in a moment", 5)
        if wait := await askers.host(wish.host, clock()):
            return _full(*FULL[Full.HOST], wait)
        return await keep(wish)

    async def keep(wish: Wish) -> web.Response:
        async with database.writing() as session:
            full = await hub_requests.ask(session, wish, challenge(), bounds=bounds, now=clock())
        log.info("hub was asked", mode=wish.mode.value, topic=wish.topic, host=wish.host, full=full and full.value)
        if full is not None:
            return _full(*FULL[full], WAIT)
        wake()
        return plain(202, TAKEN)

    async def explain(_: web.Request) -> web.Response:
        return plain(405, HELP, {"Allow": "POST"})

    return [web.post("/hub", take, name="hub"), web.get("/hub", explain)]


async def _form(request: web.Request) -> dict[str, str]:
    """The form's fields; of a name that comes twice, the first.

    Raises:
        BadAsking: it is no form, or too long.
    """
    if request.content_type != FORM:
        raise BadAsking(f"Content-Type: {FORM} is allowed", 415)
    if (request.content_length or 0) > MAX_BODY or len(await request.read()) > MAX_BODY:
        raise BadAsking(f"at most {MAX_BODY} bytes are allowed", 413)
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise BadAsking("Content-Type: the form must be UTF-8")
    try:
        text = (await request.read()).decode()
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadAsking(f"the form cannot be read; it must be UTF-8, with at most {MAX_FIELDS} fields") from None
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name, value)
    return found


def _full(status: int, line: str, wait: int | str) -> web.Response:
    return plain(status, line, {"Retry-After": str(wait)})
