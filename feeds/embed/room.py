"""The embeds put together: what partner sites load, frame, include and look up, and the page that writes the lines."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from feeds.answering import open_get
from feeds.custom_library import Library
from feeds.embed.configurator import Configurator
from feeds.embed.oembed import OEmbed
from feeds.embed.places import Places
from feeds.embed.scripts import Scripts
from feeds.embed.showing import Showcase
from feeds.moved import moved_for_good
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.store.database import Database

__all__ = ["TEMPLATES", "embed_routes"]

TEMPLATES = Path(__file__).parent / "templates"


def embed_routes(
    database: Database, library: Library, *, site: Site, taxonomy: Taxonomy, texts: Texts, clock: Clock
) -> list[web.RouteDef]:
    """Every address of the embeds; `library` is where the filters of custom feeds are asked.

    Raises:
        ValueError: the script is missing from the installation.
    """
    scripts, lang = Scripts(), f"{{lang:{'|'.join(site.languages)}}}"
    places = Places(site, taxonomy, texts, Showcase(library, site, taxonomy, texts), clock)
    return [
        web.get(r"/embed-{version:[0-9]{1,6}}.js", scripts.serve),
        web.get("/embed/frame", places.frame),
        *open_get("/embed/fragment", places.fragment),
        *open_get("/oembed", OEmbed(places, database).serve),
        web.get(f"/{lang}/embed", Configurator(places, scripts, database).show),
        web.get(f"/{lang}/embed/", _without_slash),
    ]


async def _without_slash(request: web.Request) -> web.Response:
    """GET /{lang}/embed/: the page stands without a slash, as that of feeds does."""
    query = request.rel_url.raw_query_string
    return moved_for_good(request.path.rstrip("/") + (f"?{query}" if query else ""))
