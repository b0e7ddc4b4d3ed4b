"""The addresses of the archives: `/feeds/{lang}/{topic}/{YYYY-MM}.{rss,atom,json}`, GET, HEAD and OPTIONS."""

from __future__ import annotations

from aiohttp import web

from feeds import build
from feeds.answering import Answering, open_get, plain, unbuilt
from feeds.archives import Archives

__all__ = ["archive_routes"]


def archive_routes(archives: Archives, answering: Answering) -> list[web.RouteDef]:
    """The routes of all months; they hold for as long as the archives do."""

    async def month(request: web.Request) -> web.Response:
        parts = request.match_info
        name = f"{parts['lang']}/{parts['topic']}/{parts['month']}.{parts['ext']}"
        stored = await archives.find(name)
        if stored is not None:
            return answering.answer(request, stored, build.CONTENT_TYPES[parts["ext"]], f"/feeds/{name}")
        return plain(404, "There is no feed at this address.") if archives.knows(name) is False else unbuilt()

    return open_get("/feeds/{lang}/{topic}/{month}.{ext}", month, name="feed-archive")
