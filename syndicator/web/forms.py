"""Forms: read within bounds, told from robots' and strangers' ones.

1. A body has at most `MAX_BODY` bytes; urlencoded or multipart, nothing else.
2. A form carries a signed token that says for whom and when it was made: too early is a robot, too late is stale.
3. A field nobody sees (`website`) is filled only by robots; they are told what everybody is told, and nothing happens.
4. A form that another site made somebody's browser send is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import web

from syndicator.domain.tokens import BadToken, Tokens
from syndicator.web.parts import PARTS
from syndicator.web.visitors import is_own_form

__all__ = [
    "HONEYPOT",
    "MAX_BODY",
    "Form",
    "form_token",
    "is_for",
    "made_in_time",
    "read_form",
    "refuse_foreign",
    "timed_token",
]

MAX_BODY = 16 * 1024
HONEYPOT = "website"
LIFETIME = timedelta(hours=24)
QUICKEST = timedelta(seconds=2)

_TIMED = "form-time"
_FOR = "form-for"

_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}


class Form:
    """The fields of a form, texts only, each without surrounding space."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        """The first value, or ""."""
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a name, in order."""
        return tuple(self._fields.get(name, ()))


async def read_form(request: web.Request) -> Form:
    """The form in a request's body.

    Raises:
        web.HTTPBadRequest: the body is no form.
        web.HTTPRequestEntityTooLarge: it has more than `MAX_BODY` bytes.
    """
    if request.content_type not in _TYPES:
        raise web.HTTPBadRequest
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=request.content_length or 0)
    multipart = request.content_type == "multipart/form-data"
    if not multipart and len(await request.read()) > MAX_BODY:  # it is here already: `middleware.awaited`
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=len(await request.read()))
    try:
        posted = await (request.clone(client_max_size=MAX_BODY) if multipart else request).post()
    except (ValueError, LookupError) as error:  # a charset that does not exist, bytes that are not in it, a torn part
        raise web.HTTPBadRequest from error
    fields: dict[str, list[str]] = {}
    for name, value in posted.items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value.strip())
    return Form(fields)


def refuse_foreign(request: web.Request, *, opaque_allowed: bool = False) -> None:
    """Stop a form that another site sent.

    Raises:
        web.HTTPForbidden: it came from elsewhere.
    """
    if not is_own_form(request.headers, request.app[PARTS].site.base_url, opaque_allowed=opaque_allowed):
        raise web.HTTPForbidden


def timed_token(tokens: Tokens, now: datetime) -> str:
    """A token for a form that anybody may fill: it says when the form was made."""
    return tokens.sign(_TIMED, int(now.timestamp()), now + LIFETIME)


def made_in_time(tokens: Tokens, token: str, now: datetime) -> bool:
    """Whether a form was made by us, neither a moment nor more than a day ago."""
    try:
        made = tokens.verify(_TIMED, token, now)
    except BadToken:
        return False
    return now.timestamp() - made >= QUICKEST.total_seconds()


def form_token(tokens: Tokens, subscriber: int, now: datetime) -> str:
    """A token for a form on a subscriber's own page."""
    return tokens.sign(_FOR, subscriber, now + LIFETIME)


def is_for(tokens: Tokens, token: str, subscriber: int, now: datetime) -> bool:
    """Whether a form came from that subscriber's own page, within a day."""
    try:
        return tokens.verify(_FOR, token, now) == subscriber
    except BadToken:
        return False
