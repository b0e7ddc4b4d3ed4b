"""How a program is answered: parameters read, the visitor's turn taken, JSON made or found, headers set.

Rules, in order:

1. A question that cannot be read is refused before the database is asked.
2. What is kept costs no turn; what must be made does, and who has none left is told when to come again (429).
3. Anyone may read from any site's script; nothing is personal, so caches may keep it for a minute, and never serve it
   stale: a withdrawal must be followed within the minute. The validator and the 304 are the `validated`
   middleware's, as on every public page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import hdrs, web
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import releases
from syndicator.web.api import problems
from syndicator.web.api.keeping import Kept, Made
from syndicator.web.api.parameters import Asked, Parameter, read
from syndicator.web.api.showing import View
from syndicator.web.parts import PARTS
from syndicator.web.turns import EACH, take_turn

__all__ = ["CACHE", "KEPT", "Maker", "Question", "answering", "json_answer", "preflight"]

CACHE = "public, max-age=60"
CONTENT_TYPE = "application/json; charset=utf-8"
METHODS = "GET, HEAD, OPTIONS"
KEPT = web.AppKey("api_kept", Kept)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and what an answer is made from."""

    request: web.Request
    session: AsyncSession
    asked: Asked
    view: View
    now: datetime


Maker = Callable[[Question], Awaitable[Made | web.Response]]


def answering(make: Maker, allowed: Sequence[Parameter] = ()) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that answers with what `make` makes."""

    async def handler(request: web.Request) -> web.Response:
        parts = request.app[PARTS]
        now = parts.clock()
        try:
            asked = read(tuple(request.query.items()), allowed, parts.site, parts.taxonomy)
            async with parts.database.reading() as session:
                change = await releases.last_change(session)
                kept = request.app[KEPT].find(request.path_qs, change, now)
                if kept is not None:
                    return json_answer(kept)
                wait = take_turn(request, now)
                if wait:
                    return _too_many(wait)
                view = View(parts.site, parts.taxonomy, parts.catalogue)
                made = await make(Question(request, session, asked, view, now))
        except problems.Refused as error:
            return problems.refusal(request, error)
        if isinstance(made, web.Response):
            return made
        request.app[KEPT].keep(request.path_qs, change, made)
        return json_answer(made)

    return handler


def json_answer(made: Made, cache: str = CACHE) -> web.Response:
    """200 with that JSON."""
    headers = problems.HEADERS | {hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: cache}
    if made.links:
        headers[hdrs.LINK] = ", ".join(f'<{address}>; rel="{relation}"' for address, relation in made.links)
    return web.Response(body=made.body, headers=headers)


async def preflight(_request: web.Request) -> web.Response:
    """OPTIONS: what scripts of any site may do here (Fetch, section 3.2.3)."""
    headers = problems.HEADERS | {
        hdrs.ALLOW: METHODS,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": "*",
        "Access-Control-Max-Age": "86400",
        hdrs.CACHE_CONTROL: "public, max-age=86400",
    }
    return web.Response(status=204, headers=headers)


def _too_many(wait: int) -> web.Response:
    line = f"Too many requests from your network; try again in {wait} s. {EACH.turns} a minute are allowed."
    return problems.problem_of(429, line, Retry_After=str(wait))
