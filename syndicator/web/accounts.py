"""What the pages behind links in mails share: whose link it is, in which language, and what if it opens nothing.

Rules, in order:

1. GET and HEAD change nothing, whoever follows the link: mail scanners do.
2. The token in the address is the authority. A forged or expired one gets a page that says how to start again, the
   same for all of them.
3. These pages speak the subscriber's own language and tell times by their own clock; they are never kept, indexed or
   referred (`rendering`).
4. Forms that change something for one who is subscribed carry a token of their own, and must come from our page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from typing import Any

from aiohttp import web

from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.pipeline.subscribing import Account
from syndicator.web.choices import zone_of
from syndicator.web.forms import Form, is_for, read_form, refuse_foreign
from syndicator.web.parts import PARTS
from syndicator.web.rendering import negotiated, page

__all__ = ["behind", "filter_of", "no_longer", "own_form", "private_page", "reading_language"]


Page = Callable[[web.Request], Awaitable[web.Response]]
Own = Callable[[web.Request, Account], Awaitable[web.Response]]


def behind(purpose: str) -> Callable[[Own], Page]:
    """A page behind a link with a `purpose` token: it gets whose that is; nobody's opens nothing (rule 2)."""

    def made(own: Own) -> Page:
        @wraps(own)
        async def opened(request: web.Request) -> web.Response:
            parts = request.app[PARTS]
            account = await parts.subscribing.account(purpose, request.match_info["token"], parts.clock())
            return no_longer(request, 404) if account is None else await own(request, account)

        return opened

    return made


def reading_language(request: web.Request, account: Account) -> str:
    """The language of the subscriber's own pages."""
    lang = account.subscriber.language
    return lang if lang in request.app[PARTS].site.languages else negotiated(request)


def private_page(
    request: web.Request, template: str, account: Account, *, status: int = 200, **context: Any
) -> web.Response:
    """A page for that subscriber alone (rule 3)."""
    parts, lang = request.app[PARTS], reading_language(request, account)
    t, zone = parts.texts(lang), zone_of(account.subscriber.timezone, parts.site.zone)

    def date(when: datetime) -> str:
        return t.date(when, zone)

    def moment(when: datetime) -> str:
        return t.moment(when, zone)

    frame = {"account": account, "manage": f"/manage/{account.manage_token}", "date": date, "moment": moment}
    return page(request, template, lang, status=status, private=True, **{**frame, **context})


async def own_form(request: web.Request, account: Account) -> Form:
    """A form that the subscriber's own page sent.

    Raises:
        web.HTTPForbidden: it came from elsewhere, or was made for somebody else or long ago.
        web.HTTPBadRequest, web.HTTPRequestEntityTooLarge: as `read_form`.
    """
    parts = request.app[PARTS]
    refuse_foreign(request, opaque_allowed=True)
    form = await read_form(request)
    if not is_for(parts.tokens, form["form"], account.subscriber.id, parts.clock()):
        raise web.HTTPForbidden
    return form


def filter_of(stored: str) -> Filter | None:
    """A stored filter; None where an older version wrote it and this one refuses it: it can be ended all the same."""
    try:
        return parse(stored)
    except BadFilter:
        return None


def no_longer(request: web.Request, status: int) -> web.Response:
    """The link opens nothing: how to start again."""
    lang = negotiated(request)
    return page(request, "no_longer.html", lang, status=status, private=True, subscribe=f"/{lang}/subscribe")
