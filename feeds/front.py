"""The fast way in: feeds that are always there, found by their address before any router is asked.

Rules, in order:

1. The front knows finished feeds only. A request that it does not answer takes the full way, which answers everything.
2. Both ways end in `Answering.answer`, so they give the same bytes and headers; a test compares them.
3. What is answered here is counted as the full way counts it: by route and status.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import hdrs, web
from prometheus_client import Counter

from feeds.answering import Answering
from feeds.build import CONTENT_TYPES
from feeds.composer import names_of
from feeds.publisher import Publisher
from feeds.streams import Stream
from syndicator.domain.site import FEED_FORMATS
from syndicator.metrics import Metrics

__all__ = ["FeedFront"]

ROUTE = "/feeds/{lang}/{topic}.{ext}"  # as `feeds.routes` has it: the name under which both ways are counted


class FeedFront:
    """A `syndicator.web.server.Front` over the publisher's feeds."""

    def __init__(self, publisher: Publisher, answering: Answering, metrics: Metrics, streams: Iterable[Stream]) -> None:
        self._publisher, self._answering = publisher, answering
        self._known = {
            f"/feeds/{name}": (name, CONTENT_TYPES[fmt])
            for stream in streams
            for fmt, name in zip(FEED_FORMATS, names_of(stream), strict=True)
        }
        self._counts: dict[int, Counter] = {
            status: metrics.requests.labels(ROUTE, str(status)) for status in (200, 304)
        }

    def __call__(self, request: web.BaseRequest) -> web.Response | None:
        """The feed at exactly this address, or its 304; None for everything else."""
        known = self._known.get(request.raw_path)
        if known is None or request.method != hdrs.METH_GET or hdrs.EXPECT in request.headers:
            return None
        name, content_type = known
        stored = self._publisher.find(name)
        if stored is None:
            return None
        response = self._answering.answer(request, stored, content_type, request.raw_path)
        self._counts[response.status].inc()
        return response
