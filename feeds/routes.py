"""Feeds over HTTP: finished bytes from memory, never anything made on request.

Rules, in order:

1. `/feeds/{lang}/{topic}.{rss,atom,json}`, `/feeds/{lang}.opml` and `/feeds/topics.json`, GET and HEAD; anything else
   there is a plain 404.
2. Every answer but an error carries ETag, Last-Modified, Cache-Control and Vary; a 304 repeats them
   (RFC 9110 §15.4.5). The ETag is the same in every coding, so that compression never costs a 304.
3. Anyone may read from any site's script (CORS `*`); no cookies, no redirects, no 226.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from aiohttp import hdrs, web
from yarl import URL

from feeds import build, opml, vocabulary
from feeds.conditional import choose_coding, not_modified
from feeds.files import ENCODINGS, Stored
from feeds.publisher import Publisher

__all__ = ["feed_routes"]

_LISTS = {vocabulary.NAME: vocabulary.CONTENT_TYPE}
_CONTENT_TYPES = build.CONTENT_TYPES | {"opml": opml.CONTENT_TYPE}
_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_WAIT = "5"  # seconds until feeds are likely to be there after a start


def feed_routes(publisher: Publisher) -> list[web.RouteDef]:
    """The routes of all feeds; they hold for as long as the publisher does."""

    async def stream(request: web.Request) -> web.Response:
        parts = request.match_info
        return _answer(publisher, request, f"{parts['lang']}/{parts['topic']}.{parts['ext']}")

    async def subscription_list(request: web.Request) -> web.Response:
        return _answer(publisher, request, f"{request.match_info['lang']}.opml")

    async def topics(request: web.Request) -> web.Response:
        return _answer(publisher, request, vocabulary.NAME)

    return [
        web.get("/feeds/{lang}/{topic}.{ext}", stream, name="feed"),
        web.get("/feeds/{lang}.opml", subscription_list, name="feed-list"),
        web.get(f"/feeds/{vocabulary.NAME}", topics, name="feed-topics"),
    ]


def _answer(publisher: Publisher, request: web.Request, name: str) -> web.Response:
    stored = publisher.find(name)
    if stored is None:
        if publisher.knows(name):
            return _plain(503, "Feeds are being built; try again in a moment.", {hdrs.RETRY_AFTER: _WAIT})
        return _plain(404, "There is no feed at this address.", {})
    headers = _headers(stored, name, publisher)
    asked = request.headers
    since, match = asked.get(hdrs.IF_MODIFIED_SINCE), asked.getall(hdrs.IF_NONE_MATCH, [])
    tags = ",".join(match) if match else None
    if not_modified(stored.etag, stored.last_modified, tags, since, publisher.clock()):
        return web.Response(status=304, headers=headers)
    accepted = asked.getall(hdrs.ACCEPT_ENCODING, [])
    coding = choose_coding(",".join(accepted) if accepted else None, [c for c in ENCODINGS if c in stored.packed])
    headers[hdrs.CONTENT_TYPE] = _LISTS.get(name) or _CONTENT_TYPES[name.rpartition(".")[2]]
    if coding == "identity":
        return web.Response(body=stored.body, headers=headers)
    headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=stored.packed[coding], headers=headers)


def _headers(stored: Stored, name: str, publisher: Publisher) -> dict[str, str]:
    modified = stored.last_modified.astimezone(UTC)
    return _OPEN | {
        hdrs.ETAG: stored.etag,
        hdrs.LAST_MODIFIED: http_date(modified),
        hdrs.CACHE_CONTROL: f"public, max-age={publisher.max_age}, stale-while-revalidate=600, stale-if-error=86400",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        hdrs.LINK: _self_link(publisher.site.base_url, name),
        "Access-Control-Expose-Headers": "ETag, Link",
    }


@lru_cache(maxsize=1024)  # of feeds, which are few and asked for all day
def _self_link(base_url: str, name: str) -> str:
    return f'<{URL(f"{base_url}/feeds/{name}")}>; rel="self"'


@lru_cache(maxsize=1024)
def http_date(when: datetime) -> str:
    """An IMF-fixdate (RFC 9110 §5.6.7)."""
    return format_datetime(when, usegmt=True)


def _plain(status: int, line: str, more: dict[str, str]) -> web.Response:
    return web.Response(status=status, text=f"{line}\n", headers=_OPEN | {hdrs.CACHE_CONTROL: "no-cache"} | more)
