"""A finished feed as an answer to a request: validators, caching, coding. Whoever serves stored bytes answers here.

Rules, in order:

1. Every answer but an error carries ETag, Last-Modified, Cache-Control and Vary; a 304 repeats them
   (RFC 9110 §15.4.5). The ETag is the same in every coding, so that compression never costs a 304.
2. Anyone may read from any site's script (CORS `*`); no cookies, no 226.
3. The HTTP `Link` header names the feed's own address and its hubs (WebSub §4), in an archive as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from aiohttp import hdrs, web
from yarl import URL

from feeds.conditional import choose_coding, not_modified
from feeds.files import ENCODINGS, Stored
from syndicator.domain.ports import Clock

__all__ = ["Answering", "http_date", "plain", "unbuilt"]

_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_WAIT = "5"  # seconds until feeds are likely to be there after a start


@dataclass(frozen=True, slots=True)
class Answering:
    """How this site's feeds are answered. `max_age` is in seconds; `hubs` are absolute addresses."""

    base_url: str
    max_age: int
    hubs: tuple[str, ...]
    clock: Clock

    def answer(self, request: web.Request, stored: Stored, content_type: str, path: str) -> web.Response:
        """These bytes, or 304; `path` is the feed's canonical address relative to the site, with its query."""
        headers = self._headers(stored, path)
        asked = request.headers
        since, match = asked.get(hdrs.IF_MODIFIED_SINCE), asked.getall(hdrs.IF_NONE_MATCH, [])
        tags = ",".join(match) if match else None
        if not_modified(stored.etag, stored.last_modified, tags, since, self.clock()):
            return web.Response(status=304, headers=headers)
        accepted = asked.getall(hdrs.ACCEPT_ENCODING, [])
        coding = choose_coding(",".join(accepted) if accepted else None, [c for c in ENCODINGS if c in stored.packed])
        headers[hdrs.CONTENT_TYPE] = content_type
        if coding == "identity":
            return web.Response(body=stored.body, headers=headers)
        headers[hdrs.CONTENT_ENCODING] = coding
        return web.Response(body=stored.packed[coding], headers=headers)

    def _headers(self, stored: Stored, path: str) -> dict[str, str]:
        return _OPEN | {
            hdrs.ETAG: stored.etag,
            hdrs.LAST_MODIFIED: http_date(stored.last_modified.astimezone(UTC)),
            hdrs.CACHE_CONTROL: f"public, max-age={self.max_age}, stale-while-revalidate=600, stale-if-error=86400",
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            hdrs.LINK: _links(self.base_url, path, self.hubs),
            "Access-Control-Expose-Headers": "ETag, Link",
        }


def plain(status: int, line: str, more: dict[str, str] | None = None) -> web.Response:
    """An error in one line, which scripts of any site may read and nobody may keep."""
    headers = _OPEN | {hdrs.CACHE_CONTROL: "no-cache"} | (more or {})
    return web.Response(status=status, text=f"{line}\n", headers=headers)


def unbuilt() -> web.Response:
    """503 for a feed that there is, but not yet."""
    return plain(503, "Feeds are being built; try again in a moment.", {hdrs.RETRY_AFTER: _WAIT})


@lru_cache(maxsize=1024)  # of feeds, which are few and asked for all day
def _links(base_url: str, path: str, hubs: Sequence[str]) -> str:
    told = [(str(URL(base_url + path)), "self"), *((hub, "hub") for hub in hubs)]
    return ", ".join(f'<{address}>; rel="{relation}"' for address, relation in told)


@lru_cache(maxsize=1024)
def http_date(when: datetime) -> str:
    """An IMF-fixdate (RFC 9110 §5.6.7)."""
    return format_datetime(when, usegmt=True)
