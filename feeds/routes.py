"""The addresses of the feeds that are always there: finished bytes from memory, never anything made on request.

`/feeds/{lang}/{topic}.{rss,atom,json}`, `/feeds/{lang}.opml` and `/feeds/topics.json`, GET, HEAD and OPTIONS; anything
else there is a plain 404. How they are answered, `feeds.answering` says.
"""

from __future__ import annotations

from aiohttp import web

from feeds import build, opml, vocabulary
from feeds.answering import Answering, open_get, plain, unbuilt
from feeds.publisher import Publisher

__all__ = ["feed_routes"]

_LISTS = {vocabulary.NAME: vocabulary.CONTENT_TYPE}
_CONTENT_TYPES = build.CONTENT_TYPES | {"opml": opml.CONTENT_TYPE}


def feed_routes(publisher: Publisher, answering: Answering) -> list[web.RouteDef]:
    """The routes of all streams; they hold for as long as the publisher does."""

    def answer(request: web.Request, name: str) -> web.Response:
        stored = publisher.find(name)
        if stored is not None:
            kind = _LISTS.get(name) or _CONTENT_TYPES[name.rpartition(".")[2]]
            return answering.answer(request, stored, kind, f"/feeds/{name}")
        return unbuilt() if publisher.knows(name) else plain(404, "There is no feed at this address.")

    async def stream(request: web.Request) -> web.Response:
        parts = request.match_info
        return answer(request, f"{parts['lang']}/{parts['topic']}.{parts['ext']}")

    async def subscription_list(request: web.Request) -> web.Response:
        return answer(request, f"{request.match_info['lang']}.opml")

    async def topics(request: web.Request) -> web.Response:
        return answer(request, vocabulary.NAME)

    return [
        *open_get("/feeds/{lang}/{topic}.{ext}", stream, name="feed"),
        *open_get("/feeds/{lang}.opml", subscription_list, name="feed-list"),
        *open_get(f"/feeds/{vocabulary.NAME}", topics, name="feed-topics"),
    ]
