"""Turns: how often one visitor may have made what is not kept: on pages, in embeds and of the API together.

Rules, in order:

1. What is kept costs nothing; what has to be looked up and rendered costs a turn. Who has none left is told when to
   come again (429, Retry-After), and nothing is done for them.
2. Visitors are counted as everywhere (`web.visitors`), each by themselves: nobody is refused because of others.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from aiohttp import hdrs, web

from syndicator.web.errors import error_page
from syndicator.web.limits import Limits, Window
from syndicator.web.visitors import Networks, visitor

__all__ = ["EACH", "PROXIES", "TURNS", "no_turn", "take_turn", "turns", "who"]

EACH = Window(120, timedelta(minutes=1))  # twice a second: a copy of 100,000 releases takes eight minutes
VISITORS = 5_000
PROXIES: web.AppKey[Networks] = web.AppKey("proxies", tuple)
TURNS = web.AppKey("turns", Limits)


def turns() -> Limits:
    """The turns of a new application."""
    return Limits(EACH, visitors=VISITORS)


def who(request: web.Request) -> str:
    """The key that a visitor is counted by."""
    return visitor(request.remote or "", request.headers.getall("X-Forwarded-For", ()), request.app.get(PROXIES, ()))


def take_turn(request: web.Request, now: datetime) -> int:
    """Take a turn: 0, or the seconds to wait when there is none."""
    return request.app[TURNS].take(who(request), now)


def no_turn(request: web.Request, now: datetime) -> web.Response | None:
    """Take a turn; the page that says to come again if there is none."""
    wait = take_turn(request, now)
    if not wait:
        return None
    response = error_page(request, 429)
    response.headers[hdrs.RETRY_AFTER] = str(wait)
    return response
