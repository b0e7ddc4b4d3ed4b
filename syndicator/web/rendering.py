"""From a template to a response: the frame every page shares.

Rules, in order:

1. Everything is escaped; only a release's body, which intake cleaned, is marked as HTML by the page that shows it.
2. A page knows its language, its siblings in other languages, its own address and the feeds it announces.
3. A public page may be kept for a minute; a private one (a token in its address) is never stored, indexed or referred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp_jinja2
from aiohttp import web
from jinja2 import FileSystemLoader, StrictUndefined

from syndicator.domain.ports import FeedLinks
from syndicator.web.parts import PARTS
from syndicator.web.static_files import StaticFiles
from syndicator.web.visitors import preferred_language
from syndicator.wording import language_name

__all__ = ["NO_STORE", "SHORT", "STATIC", "language_of", "negotiated", "page", "setup"]

STATIC = web.AppKey("static", StaticFiles)
NO_STORE = "no-store"
SHORT = "public, max-age=60"

TEMPLATES = Path(__file__).parent / "templates"
OPEN_GRAPH_LOCALES = {"az": "az_AZ", "en": "en_GB", "ru": "ru_RU"}


def setup(app: web.Application, templates: Sequence[Path] = ()) -> None:
    """Give the application its templates, and those of rooms that bring pages of their own."""
    parts = app[PARTS]
    env = aiohttp_jinja2.setup(
        app,
        loader=FileSystemLoader([TEMPLATES, *templates]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        site=parts.site,
        zone=parts.site.zone,
        static=app[STATIC].address,
        contact=parts.contact,
        og_locale=lambda lang: OPEN_GRAPH_LOCALES.get(lang, lang),
        language_name=language_name,
        utc=lambda when: when.astimezone(UTC).isoformat(timespec="seconds"),
    )


def language_of(request: web.Request) -> str:
    """The language of a page by its address; failing that, what the visitor's browser asks for."""
    first = request.path.split("/", 2)[1]
    return first if first in request.app[PARTS].site.languages else negotiated(request)


def negotiated(request: web.Request) -> str:
    """The language for an address without one: what was asked for by name, else by Accept-Language."""
    site = request.app[PARTS].site
    asked = request.query.get("lang", "")
    if asked in site.languages:
        return asked
    return preferred_language(request.headers.get("Accept-Language", ""), site.languages, site.default_language)


def page(
    request: web.Request,
    template: str,
    lang: str,
    *,
    status: int = 200,
    paths: Mapping[str, str] | None = None,
    feeds: Sequence[FeedLinks] = (),
    private: bool = False,
    cache: str = SHORT,
    **context: Any,
) -> web.Response:
    """A page in a language.

    `paths` are this page's addresses by language, relative to the site (without them the languages lead to their home
    pages and search engines are told nothing); `feeds` are announced before the language's general feed.
    """
    parts = request.app[PARTS]
    t = parts.texts(lang)
    everything = parts.catalogue.link(lang, "all")
    told = [*feeds, *([everything] if everything is not None else [])]
    announced = list({stream.rss: stream for stream in told}.values())
    frame = {
        "t": t,
        "plural": t.plural,
        "lang": lang,
        "office": parts.site.name(lang),
        "paths": paths or {},
        "switch": [
            (code, parts.texts(code).language_name, (paths or {}).get(code, f"/{code}/"), code == lang)
            for code in parts.site.languages
        ],
        "feeds": announced,
        "private": private,
        "now": parts.clock(),
        "date": lambda when: t.date(_aware(when), parts.site.zone),
        "moment": lambda when: t.moment(_aware(when), parts.site.zone),
    }
    response = aiohttp_jinja2.render_template(template, request, {**frame, **context}, status=status)
    response.headers["Content-Language"] = lang
    response.headers["Cache-Control"] = NO_STORE if private else cache
    if private:
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _aware(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise ValueError(f"a time without zone cannot be shown: {when!r}")
    return when
