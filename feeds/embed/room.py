"""The embeds put together: what partner sites load, frame, include and look up, and the page that writes the lines."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from feeds.embed.configurator import Configurator
from feeds.embed.oembed import OEmbed
from feeds.embed.places import Places
from feeds.embed.scripts import Scripts
from feeds.embed.showing import Showcase
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.store.database import Database

__all__ = ["TEMPLATES", "embed_routes"]

TEMPLATES = Path(__file__).parent / "templates"


def embed_routes(
    database: Database, *, site: Site, taxonomy: Taxonomy, texts: Texts, clock: Clock
) -> list[web.RouteDef]:
    """Every address of the embeds.

    Raises:
        ValueError: the script is missing from the installation.
    """
    scripts = Scripts()
    places = Places(site, taxonomy, texts, Showcase(database, site, taxonomy, texts), clock)
    return [
        web.get(r"/embed-{version:[0-9]{1,6}}.js", scripts.serve),
        web.get("/embed/frame", places.frame),
        web.get("/embed/fragment", places.fragment),
        web.get("/oembed", OEmbed(places, database).serve),
        web.get(f"/{{lang:{'|'.join(site.languages)}}}/embed", Configurator(places, scripts).show),
    ]
