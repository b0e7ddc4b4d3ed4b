"""A finished feed as an answer to a request: validators, caching, coding. Whoever serves stored bytes answers here.

Rules, in order:

1. Every answer but an error carries ETag, Last-Modified, Cache-Control and Vary; a 304 repeats them
   (RFC 9110 §15.4.5). Where several machines answer, there is no Last-Modified (`Answering`).
2. The ETag is strong and the same in every coding. RFC 9110 §8.8.3.3 asks for one each, so this is a departure, and
   chosen: a proxy or reader that changes the coding between two requests still gets its 304, and If-None-Match compares
   weakly anyway. Strength matters where parts are joined (If-Range), and we serve no parts: a Range gets the whole.
3. A cache may keep a feed for `max_age`, then answer with it for `STALE` more while it asks us, and for `STALE_ERROR`
   while we give errors: small, because corrections and withdrawals wait for it (docs/decisions/0014).
4. Anyone may read from any site's script (CORS `*`, and what such a script may ask is said to its OPTIONS); no
   cookies, no 226.
5. The HTTP `Link` header names the feed's own address and its hubs (WebSub §4): those that are told when it changes,
   hence none for an archive and only ours for a custom feed. Which they are, says who makes the `Answering`.
6. Headers are put together once for each state of a feed, and kept; what a request says is compared with them. Most
   readers send back the very tag they got, in the few spellings of `Accept-Encoding` that clients have: those cost a
   look-up, everything else the full rules of `feeds.conditional`, with the same outcome.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from feeds.conditional import choose_coding, not_modified
from feeds.files import ENCODINGS, Stored
from syndicator.domain.ports import Clock
from syndicator.web.api.answering import preflight
from syndicator.web.middleware import guards

__all__ = ["STALE", "STALE_ERROR", "Answering", "caching", "http_date", "open_get", "plain", "unbuilt"]

STALE, STALE_ERROR = 10, 600
"""Seconds that a cache may use an answer beyond its age: while it asks again, and while we are away (RFC 5861)."""

_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_WAIT = "5"  # seconds until feeds are likely to be there after a start
_KEPT = 1024  # feeds whose headers are kept; some kilobytes each
_USUAL = 128  # characters of an Accept-Encoding that is worth remembering


@dataclass(frozen=True, slots=True)
class _Finished:
    """The headers of one state of a feed: of a 304, and of a 200 by coding."""

    etag: str
    last_modified: datetime
    content_type: str
    same: CIMultiDict[str]
    whole: dict[str, CIMultiDict[str]]


@dataclass(frozen=True, slots=True)
class Answering:
    """How this site's feeds are answered. `max_age` is in seconds; `hubs` are absolute addresses.

    `shared`: other machines answer for the same feeds. A date to the second, which each would have to find for itself,
    could stand with other bytes on each, so none is given or believed (RFC 9110 §8.8.2.1 asks for one only where it can
    be "consistently determined"); the tag, which follows from the bytes, says all.
    """

    base_url: str
    max_age: int
    hubs: tuple[str, ...]
    clock: Clock
    shared: bool = False
    _kept: dict[str, _Finished] = field(default_factory=dict, repr=False, compare=False)

    def answer(self, request: web.BaseRequest, stored: Stored, content_type: str, path: str) -> web.Response:
        """These bytes, or 304; `path` is the feed's canonical address relative to the site, with its query."""
        finished, asked = self._finished(stored, content_type, path), request.headers
        tags = asked.getall(hdrs.IF_NONE_MATCH, None)
        since = None if self.shared else asked.get(hdrs.IF_MODIFIED_SINCE)
        if (tags is not None and tags[0] == stored.etag) or (
            (tags is not None or since is not None)
            and not_modified(
                stored.etag,
                stored.last_modified,
                ",".join(tags) if tags is not None else None,
                since,
                self.clock(),
            )
        ):
            return web.Response(status=304, headers=finished.same)
        coding = _coding(asked.getall(hdrs.ACCEPT_ENCODING, None), stored)
        body = stored.body if coding == "identity" else stored.packed[coding]
        return web.Response(body=body, headers=finished.whole[coding])

    def _finished(self, stored: Stored, content_type: str, path: str) -> _Finished:
        """The headers for this state of the feed at `path`."""
        kept = self._kept.get(path)
        if (
            kept is not None
            and kept.etag == stored.etag
            and kept.last_modified == stored.last_modified
            and kept.content_type == content_type
            and len(kept.whole) == len(stored.packed) + 1
        ):
            return kept
        if kept is None and len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        same = self._headers(stored, path)
        whole = {"identity": same | {hdrs.CONTENT_TYPE: content_type}}
        for coding in stored.packed:
            whole[coding] = whole["identity"] | {hdrs.CONTENT_ENCODING: coding}
        made = _Finished(
            stored.etag,
            stored.last_modified,
            content_type,
            CIMultiDict(same),
            {coding: CIMultiDict(headers) for coding, headers in whole.items()},
        )
        self._kept[path] = made
        return made

    def _headers(self, stored: Stored, path: str) -> dict[str, str]:
        dated = {} if self.shared else {hdrs.LAST_MODIFIED: http_date(stored.last_modified.astimezone(UTC))}
        return (
            dict(guards(self.base_url))
            | _OPEN
            | dated
            | {
                hdrs.ETAG: stored.etag,
                hdrs.CACHE_CONTROL: caching(self.max_age),
                hdrs.VARY: hdrs.ACCEPT_ENCODING,
                hdrs.LINK: _links(self.base_url, path, self.hubs),
                "Access-Control-Expose-Headers": "ETag, Link",
            }
        )


def _coding(accepted: Sequence[str] | None, stored: Stored) -> str:
    """The coding to answer in."""
    if accepted is None:
        return "identity"
    offered = ENCODINGS if len(stored.packed) == len(ENCODINGS) else tuple(c for c in ENCODINGS if c in stored.packed)
    accept = accepted[0] if len(accepted) == 1 else ",".join(accepted)
    return _usual_choice(accept, offered) if len(accept) <= _USUAL else choose_coding(accept, offered)


_usual_choice = lru_cache(maxsize=512)(choose_coding)


def caching(max_age: int) -> str:
    """`Cache-Control` of whatever shows releases; `max_age` is in seconds."""
    return f"public, max-age={max_age}, stale-while-revalidate={STALE}, stale-if-error={STALE_ERROR}"


def open_get(
    path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], name: str | None = None
) -> list[web.RouteDef]:
    """The routes of what scripts of any site may read: GET, HEAD, and the OPTIONS that browsers send before it."""
    return [web.get(path, handler, name=name), web.options(path, preflight)]


def plain(status: int, line: str, more: dict[str, str] | None = None) -> web.Response:
    """An error in one line, which scripts of any site may read and nobody may keep."""
    headers = _OPEN | {hdrs.CACHE_CONTROL: "no-cache"} | (more or {})
    return web.Response(status=status, text=f"{line}\n", headers=headers)


def unbuilt() -> web.Response:
    """503 for a feed that there is, but not yet."""
    return plain(503, "Feeds are being built; try again in a moment.", {hdrs.RETRY_AFTER: _WAIT})


def _links(base_url: str, path: str, hubs: Sequence[str]) -> str:
    told = [(str(URL(base_url + path)), "self"), *((hub, "hub") for hub in hubs)]
    return ", ".join(f'<{address}>; rel="{relation}"' for address, relation in told)


def http_date(when: datetime) -> str:
    """An IMF-fixdate (RFC 9110 §5.6.7)."""
    return format_datetime(when, usegmt=True)
