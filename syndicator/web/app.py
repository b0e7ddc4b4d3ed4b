"""The web application: every address of the public site, and what others plug in.

1. Addresses hold the site's own languages only, so that `/hub` or `/feeds` can never be read as a language.
2. HEAD is answered wherever GET is.
3. Other rooms bring their own routes (`extra_routes`); they pass the same middlewares and headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from syndicator.web import (
    confirming,
    feed_pages,
    files,
    health,
    leaving,
    managing,
    own_data,
    pages,
    release_page,
    rendering,
    subscribe,
)
from syndicator.web.api import routes as api
from syndicator.web.limits import Limits
from syndicator.web.middleware import MIDDLEWARES, guard_headers
from syndicator.web.parts import MAX_BODY, PARTS, Parts
from syndicator.web.static_files import StaticFiles
from syndicator.web.turns import TURNS, turns
from syndicator.web.visitors import networks

__all__ = ["MAX_BODY", "Parts", "make_app"]


def make_app(
    parts: Parts, extra_routes: Sequence[web.RouteDef] = (), templates: Sequence[Path] = ()
) -> web.Application:
    """The application, ready for an `AppRunner`. `templates` are folders of those who brought the routes.

    Raises:
        ValueError: a trusted proxy is no address.
    """
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_BODY)
    app[PARTS] = parts
    app[rendering.STATIC] = static = StaticFiles()
    app[subscribe.LIMITS] = Limits()
    app[TURNS] = turns()
    app[subscribe.PROXIES] = networks(parts.trusted_proxies)
    rendering.setup(app, templates)
    app.on_response_prepare.append(guard_headers)
    app.add_routes(extra_routes)
    app.add_routes(_public("{lang:" + "|".join(parts.site.languages) + "}"))
    app.add_routes(_personal())
    app.add_routes(_machines(static))
    api.setup(app)
    return app


def _public(lang: str) -> list[web.RouteDef]:
    return [
        web.get("/", pages.front),
        web.get(f"/{lang}", pages.without_slash),
        web.get(f"/{lang}/", pages.home),
        web.get(f"/{lang}/releases/{{name}}", release_page.show),
        web.get(f"/{lang}/topics", pages.without_slash),
        web.get(f"/{lang}/topics/", pages.topics),
        web.get(f"/{lang}/topics/{{slug}}", pages.topic),
        web.get(f"/{lang}/search", pages.search),
        web.get(f"/{lang}/feeds", feed_pages.picker),
        web.get(f"/{lang}/feeds/{{topic}}", feed_pages.feed),
        web.get(f"/{lang}/privacy", pages.privacy),
        web.get(f"/{lang}/subscribe", subscribe.form_page),
        web.post(f"/{lang}/subscribe", subscribe.sign_up),
    ]


def _personal() -> list[web.RouteDef]:
    return [
        web.get("/confirm/{token}", confirming.ask_confirm),
        web.post("/confirm/{token}", confirming.confirm),
        web.get("/address/{token}", confirming.ask_address),
        web.post("/address/{token}", confirming.move),
        web.get("/manage/{token}", managing.manage),
        web.post("/manage/{token}", managing.change),
        web.get("/manage/{token}/sent", own_data.sent),
        web.get("/manage/{token}/data.json", own_data.data),
        web.get("/manage/{token}/erase", own_data.ask_erase),
        web.post("/manage/{token}/erase", own_data.erase),
        web.get("/unsubscribe/{token}", leaving.ask_unsubscribe),
        web.post("/unsubscribe/{token}", leaving.unsubscribe),
    ]


def _machines(static: StaticFiles) -> list[web.RouteDef]:
    return [
        web.get("/media/{path:.+}", files.media),
        web.get("/static/{name}", static.serve),
        web.get("/favicon.svg", static.favicon),
        web.get("/robots.txt", files.robots),
        web.get("/sitemap.xml", files.sitemap),
        *health.machine_routes(),
    ]
