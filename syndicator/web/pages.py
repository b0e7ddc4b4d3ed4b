"""The public pages: home, topics, search, privacy. Each asks the store one or two questions and renders.

What is public is decided by `store.releases.listing` alone.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from urllib.parse import urlencode

from aiohttp import web

from syndicator.domain.bounces import FORGOTTEN
from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.model import Urgency
from syndicator.store import releases
from syndicator.web.asked import asked_filter
from syndicator.web.errors import error_page
from syndicator.web.listing import cards, listed, with_query
from syndicator.web.parts import PARTS
from syndicator.web.refusals import refusal
from syndicator.web.rendering import negotiated, page
from syndicator.web.telegram_links import telegram_link
from syndicator.web.turns import no_turn
from syndicator.web.views import topic_links, topic_tree

__all__ = [
    "front",
    "home",
    "privacy",
    "query_filter",
    "search",
    "topic",
    "topics",
    "without_slash",
]

NEWEST = 12
LOOKED_AT = 60  # so that a busy day cannot push an urgent notice off the page
URGENT_FOR = timedelta(hours=72)
ASKED = ("q", "topic", "not", "kind", "lang")


async def front(request: web.Request) -> web.Response:
    """GET /: to the home page in the visitor's language."""
    vary = {"Vary": "Accept-Language", "Cache-Control": "public, max-age=300"}
    return web.Response(status=302, headers={"Location": f"/{negotiated(request)}/", **vary})


async def without_slash(request: web.Request) -> web.Response:
    """GET /{lang} and /{lang}/topics: these pages have a slash."""
    return web.Response(status=301, headers={"Location": f"{request.path}/"})


async def home(request: web.Request) -> web.Response:
    """GET /{lang}/: what is new, urgent first; topics; the ways to follow."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    now = parts.clock()
    async with parts.database.reading() as session:
        found = await releases.listing(session, Filter(), parts.taxonomy, lang=lang, now=now, limit=LOOKED_AT)
    urgent = [r for r in found if r.urgency is Urgency.URGENT and now - r.public_at < URGENT_FOR]
    rest = [release for release in found if release not in urgent][:NEWEST]
    return page(
        request,
        "home.html",
        lang,
        paths={code: f"/{code}/" for code in parts.site.languages},
        urgent=cards(request, urgent, lang),
        newest=cards(request, rest, lang),
        topics=topic_tree(parts.taxonomy, parts.texts(lang)),
        everything=parts.catalogue.link(lang, "all"),
        telegram=telegram_link(parts, lang),
    )


async def topics(request: web.Request) -> web.Response:
    """GET /{lang}/topics/: every topic, with how much there is on it."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    now = parts.clock()
    async with parts.database.reading() as session:
        totals = await releases.topic_totals(session, parts.taxonomy, now)
    return page(
        request,
        "topics.html",
        lang,
        paths={code: f"/{code}/topics/" for code in parts.site.languages},
        topics=topic_tree(parts.taxonomy, parts.texts(lang)),
        counts={slug: totals.get((lang, slug), 0) for slug in parts.taxonomy.slugs},
    )


async def topic(request: web.Request) -> web.Response:
    """GET /{lang}/topics/{slug}: a topic's releases and the ways to follow it."""
    parts, lang, slug = request.app[PARTS], request.match_info["lang"], request.match_info["slug"]
    found = parts.taxonomy.get(slug)
    if found is None:
        raise web.HTTPNotFound
    async with parts.database.reading() as session:
        shown = await listed(request, session, Filter(topics=(slug,)), lang)
    t = parts.texts(lang)
    stream = parts.catalogue.link(lang, slug)
    children = [other.slug for other in parts.taxonomy.topics if other.parent == slug]
    return page(
        request,
        "topic.html",
        lang,
        paths={code: f"/{code}/topics/{slug}" for code in parts.site.languages},
        feeds=[stream] if stream else [],
        heading=found.name(lang),
        parents=topic_links(parts.taxonomy.ancestors(slug)[::-1], parts.taxonomy, t),
        children=topic_links(children, parts.taxonomy, t),
        shown=shown,
        stream=stream,
        feed_page=parts.site.feed_page_path(lang, slug),
        subscribe=f"/{lang}/subscribe?{urlencode({'topic': slug})}",
        telegram=telegram_link(parts, lang, Filter(topics=(slug,))),
    )


async def search(request: web.Request) -> web.Response:
    """GET /{lang}/search: the releases a filter takes, newest first, each in the first of its languages.

    Words cost a turn.
    """
    parts, lang = request.app[PARTS], request.match_info["lang"]
    t = parts.texts(lang)
    try:
        wanted = query_filter(request)
    except BadFilter as error:
        return error_page(request, 400, detail=refusal(error, t))
    if wanted.words and (refused := no_turn(request, parts.clock())):
        return refused
    query = [(name, value) for name in ASKED for value in request.query.getall(name, ()) if value.strip()]
    async with parts.database.reading() as session:
        shown = await listed(request, session, wanted, lang, query)
    return page(
        request,
        "search.html",
        lang,
        paths=with_query({code: f"/{code}/search" for code in parts.site.languages}, query),
        feeds=[parts.catalogue.custom(wanted, lang)] if query else [],
        words=" ".join(request.query.getall("q", ())),
        wanted=wanted,
        topics=topic_tree(parts.taxonomy, t),
        asked=bool(query),
        shown=shown,
        subscribe=f"/{lang}/subscribe" + (f"?{urlencode(query)}" if query else ""),
        follow=f"/{lang}/feeds" + (f"?{urlencode(query)}" if query else ""),
        telegram=telegram_link(parts, lang, wanted),
    )


def query_filter(request: web.Request) -> Filter:
    """The filter in an address; what is not part of a filter (other sites add such things) is passed over.

    Raises:
        BadFilter: a value cannot be used.
    """
    parts = request.app[PARTS]
    asked = [(name, value) for name in ASKED for value in request.query.getall(name, ())]
    return asked_filter(asked, parts.taxonomy, parts.site.languages)


async def privacy(request: web.Request) -> web.Response:
    """GET /{lang}/privacy: what is kept of a reader, and what is not."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    left_days = ceil(parts.retention.left_days)
    return page(
        request,
        "privacy.html",
        lang,
        paths={code: f"/{code}/privacy" for code in parts.site.languages},
        left_days=left_days,
        ledger_days=ceil(parts.retention.ledger_days),
        returned_days=max(FORGOTTEN.days, left_days),
        moved_days=max(ceil(parts.confirm_for / timedelta(days=1)), left_days),
    )
