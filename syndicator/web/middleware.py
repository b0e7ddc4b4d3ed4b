"""What holds for every answer, whoever gives it.

Rules, in order:

1. Every request is counted by route and status, never by address.
2. What a handler raises becomes a page in the reader's language, under /api a problem as JSON; a bug is logged with
   its traceback and says nothing. While the database is away it is 503 with Retry-After (RFC 9110 §15.6.4), and one
   line in the log every `SAY_AGAIN` seconds however many ask.
3. A public page has a weak ETag over its text; who has it already gets 304 (RFC 9110, sections 13.1.2 and 15.4.5).
4. Texts are compressed, except private ones: a token in a compressed page could be guessed by its length (BREACH); and
   except what has been chosen for the reader's `Accept-Encoding` already, which its `Vary` tells.
5. A form's body has a time in which to arrive (408, RFC 9110 §15.5.9), so that a trickle holds no handler for hours.
6. Nothing on a page may come from, go to, or be framed by anybody else. A route that needs more says so itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from syndicator.store.database import DatabaseTrouble
from syndicator.web.api.problems import error_answer
from syndicator.web.parts import PARTS

__all__ = ["BODY_SECONDS", "MIDDLEWARES", "guard_headers", "guards"]

log = structlog.get_logger()

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TEXTS = ("text/", "application/xml", "application/json", "image/svg+xml")
SMALL = 600
BODY_SECONDS = 30.0
SAY_AGAIN = 30.0
TRY_AGAIN = "5"  # seconds, for visitors


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request."""
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unmatched"
    request.app[PARTS].metrics.requests.labels(route, str(response.status)).inc()
    return response


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was raised into a page."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            return _plain(error)
        response = error_answer(request, error.status)
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
    except DatabaseTrouble as error:
        _away.say(str(error))
        response = error_answer(request, 503)
        response.headers[hdrs.RETRY_AFTER] = TRY_AGAIN
        return response
    except Exception:
        log.exception("request failed", method=request.method, route=_route(request))
        return error_answer(request, 500)


class _Away:
    """Says that the database is away, once in a while."""

    def __init__(self) -> None:
        self._said_at = -SAY_AGAIN

    def say(self, reason: str) -> None:
        if monotonic() - self._said_at >= SAY_AGAIN:
            self._said_at = monotonic()
            log.warning("pages cannot be made while the database is away", reason=reason)


_away = _Away()


def _plain(redirect: web.HTTPException) -> web.Response:
    return web.Response(status=redirect.status, headers=redirect.headers, text=redirect.text)


def _route(request: web.Request) -> str:
    """The route's pattern: an address may hold a token, and no log may."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


@web.middleware
async def validated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 304 where the visitor has the page already."""
    response = await handler(request)
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    if not _may_be_kept(request, response):
        return response
    tag = hashlib.sha256(response.body).hexdigest()[:24]
    response.headers[hdrs.ETAG] = f'W/"{tag}"'
    known = request.if_none_match or ()
    if any(etag.value in (tag, "*") for etag in known):
        kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
        return web.Response(status=304, headers=kept)
    return response


# A browser takes the headers of a 304 over those it kept (RFC 9111 §3.2): what a page is allowed must come again.
_KEPT = (
    hdrs.ETAG,
    hdrs.CACHE_CONTROL,
    hdrs.VARY,
    hdrs.LINK,
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN,
    hdrs.ACCESS_CONTROL_EXPOSE_HEADERS,
    "Content-Language",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
)


def _may_be_kept(request: web.Request, response: web.Response) -> bool:
    return (
        request.method in ("GET", "HEAD")
        and response.status == 200
        and hdrs.ETAG not in response.headers
        and response.headers.get(hdrs.CACHE_CONTROL, "").startswith("public")
    )


@web.middleware
async def compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress texts for those who take it."""
    response = await handler(request)
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or len(response.body) < SMALL:
        return response
    private = "no-store" in response.headers.get(hdrs.CACHE_CONTROL, "")
    vary = response.headers.get(hdrs.VARY, "")
    done = hdrs.CONTENT_ENCODING in response.headers or hdrs.ACCEPT_ENCODING.lower() in vary.lower()
    if done or private or not response.content_type.startswith(TEXTS):
        return response
    response.enable_compression()
    response.headers[hdrs.VARY] = ", ".join(filter(None, (vary, hdrs.ACCEPT_ENCODING)))
    return response


@web.middleware
async def awaited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have the whole body before the handler begins, in bounded time; `client_max_size` bounds its size."""
    known = request.match_info.http_exception is None
    if known and request.can_read_body and not request.content_type.startswith("multipart/"):
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
    return await handler(request)


@lru_cache(maxsize=8)
def guards(base_url: str) -> Mapping[str, str]:
    """The headers that protect readers of a site at this address."""
    if base_url.startswith("https://"):
        return HEADERS | {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
    return HEADERS


async def guard_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that protect readers, unless the route has set its own."""
    for name, value in guards(request.app[PARTS].site.base_url).items():
        response.headers.setdefault(name, value)


# A 304 has the `Vary` of its 200 (RFC 9110, section 15.4.5), so what may be compressed is known before it is validated.
MIDDLEWARES = (counted, validated, compressed, answered, awaited)
