"""The addresses of custom feeds: `/feeds/custom.{rss,atom,json,opml}?FILTER`, GET, HEAD and OPTIONS.

Rules, in order:

1. A filter has one address for each format: its canonical text. Every other spelling leads there (301): another
   order or encoding, former slugs of topics, and keys that are no filter's, such as those that other sites add.
2. A filter that takes just what a stream holds leads to the stream. Its subscription list has no other address.
3. A filter that cannot be used is a 400 in one line that says what is allowed.
4. A visitor may have many feeds made in a short time, but not without end (429); and so may all visitors together
   (503). Both say when to come back. What is made already, anybody may ask for at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import unquote_plus

import structlog
from aiohttp import hdrs, web

from feeds.answering import Answering, open_get, plain
from feeds.custom import FORMATS, Crowded, CustomFeeds, in_force
from feeds.moved import moved_for_good
from feeds.streams import equal_stream
from syndicator.domain.filters import BadFilter, Filter, canonical, parse
from syndicator.web.limits import Limits, Window
from syndicator.web.turns import who

__all__ = ["EACH", "EVERYBODY", "custom_routes", "filter_in"]

EACH = Window(120, timedelta(minutes=10))
EVERYBODY = Window(1200, timedelta(minutes=10))
"""Feeds made for the first time: a visitor's own, and all of them together."""

KEYS = ("lang", "topic", "not", "kind", "q")
_BUSY = 30  # seconds

log = structlog.get_logger()


def filter_in(query: str, feeds: CustomFeeds) -> Filter:
    """The filter that a raw query string asks for, in force; what is no key of a filter is passed over.

    Raises:
        BadFilter: it cannot be used.
    """
    site, taxonomy = feeds.site, feeds.taxonomy
    wanted = in_force(parse("&".join(_of_filter(query))), site, taxonomy)
    return parse(canonical(wanted), languages=site.languages, topics=taxonomy.slugs)


def _of_filter(query: str) -> Iterator[str]:
    for part in query.split("&"):
        name = unquote_plus(part.partition("=")[0], errors="replace")
        if name.strip().lower() in KEYS:
            yield part


def custom_routes(feeds: CustomFeeds, answering: Answering, limits: Limits | None = None) -> list[web.RouteDef]:
    """The routes; `limits` counts what is made for whom."""
    made = limits or Limits(EACH, EVERYBODY)

    async def custom(request: web.Request) -> web.Response:
        fmt = request.match_info["ext"]
        if fmt not in FORMATS:
            return plain(404, f"There is no such format; there are {', '.join(FORMATS)}.")
        asked = _target(request)
        try:
            wanted = filter_in(asked.partition("?")[2], feeds)
        except BadFilter as error:
            return plain(400, str(error))
        path = _address(wanted, fmt, feeds)
        if asked != path:
            return moved_for_good(path)
        refused = None if feeds.holds(wanted, fmt) else _refused(request, made)
        return refused or await _answered(request, wanted, fmt, path)

    def _refused(request: web.Request, limits: Limits) -> web.Response | None:
        now = answering.clock()
        if limits.busy(now):
            return _later(503, "Many new feeds were asked for; try again in a moment.", _BUSY)
        wait = limits.take(who(request), now)
        return _later(429, "Many new feeds were asked for from your network; try again later.", wait) if wait else None

    async def _answered(request: web.Request, wanted: Filter, fmt: str, path: str) -> web.Response:
        try:
            stored = await feeds.find(wanted, fmt, answering.clock())
        except Crowded as crowd:
            return _later(503, str(crowd), crowd.wait)
        except OSError as error:
            log.error("a custom feed cannot be made", reason=str(error))  # noqa: TRY400  # one line says it
            return _later(503, "Feeds cannot be made now; try again in a moment.", _BUSY)
        return answering.answer(request, stored, FORMATS[fmt], path)

    return open_get("/feeds/custom.{ext}", custom, name="feed-custom")


def _target(request: web.Request) -> str:
    """Path and query exactly as they were asked for (RFC 9112 §3.2.2: a proxy may have put the whole address there)."""
    target = request.raw_path
    return target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]


def _address(wanted: Filter, fmt: str, feeds: CustomFeeds) -> str:
    """The one address of the filter's feed, relative to the site."""
    stream = equal_stream(wanted, feeds.site, feeds.taxonomy) if fmt != "opml" else None
    if stream is not None:
        return feeds.site.feed_path(stream.lang, stream.topic, fmt)
    return feeds.site.custom_feed_path(canonical(wanted), fmt)


def _later(status: int, line: str, wait: int) -> web.Response:
    return plain(status, line, {hdrs.RETRY_AFTER: str(wait)})
