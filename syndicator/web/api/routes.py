"""Where the API is, plugged into the web application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from syndicator.web.api import handlers
from syndicator.web.api.answering import KEPT, Maker, answering, json_answer, preflight
from syndicator.web.api.guide import guide
from syndicator.web.api.keeping import Kept, Made
from syndicator.web.api.openapi import OPERATIONS, document
from syndicator.web.api.problems import PREFIX
from syndicator.web.api.showing import BASE
from syndicator.web.parts import PARTS

__all__ = ["OPENAPI", "api_routes", "setup"]

OPENAPI = "/api/openapi.json"
DOCUMENT = web.AppKey("api_document", Made)
_MAKERS: dict[str, Maker] = {
    "getSite": handlers.site,
    "listReleases": handlers.overview,
    "getRelease": handlers.one,
    "listChanges": handlers.changes,
    "listTopics": handlers.topics,
    "search": handlers.search,
}


def setup(app: web.Application) -> None:
    """Give the application the API's memory and routes."""
    parts = app[PARTS]
    app[KEPT] = Kept()
    app[DOCUMENT] = Made(document(parts.site, parts.taxonomy))
    app.add_routes(api_routes())


def api_routes() -> list[web.RouteDef]:
    """Every address; each answers HEAD and OPTIONS as well."""
    found: list[web.RouteDef] = []
    for one in OPERATIONS:
        found += _route(BASE + one.path, answering(_MAKERS[one.name], one.parameters))
    found += _route(OPENAPI, _openapi)
    found += _route(BASE, _to(f"{BASE}/"))
    return [*found, web.get(PREFIX, _to(f"{PREFIX}/")), web.get(f"{PREFIX}/", guide)]


def _route(path: str, handler: Callable[[web.Request], Awaitable[web.Response]]) -> list[web.RouteDef]:
    return [web.get(path, handler), web.route(hdrs.METH_OPTIONS, path, preflight)]


async def _openapi(request: web.Request) -> web.Response:
    """GET /api/openapi.json."""
    return json_answer(request.app[DOCUMENT])


def _to(path: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def elsewhere(_request: web.Request) -> web.Response:
        headers = {hdrs.LOCATION: path, hdrs.CACHE_CONTROL: "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
        return web.Response(status=308, headers=headers)

    return elsewhere
