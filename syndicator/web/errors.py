"""Pages for what went wrong, in the language of the address, saying what to do next.

A release that may not be seen and one that never was get the same page: nothing on it depends on what was asked for.
"""

from __future__ import annotations

from aiohttp import web

from syndicator.web.rendering import NO_STORE, language_of, page

__all__ = ["TOO_MANY", "error_page"]

_ = str  # marks a text for the catalogues

TOO_MANY = _("Many requests came from your network in a short time. Nothing is lost: please try again in some minutes.")
_SAID = {
    400: (_("This address cannot be read"), _("Something in it is not as it should be.")),
    403: (
        _("This form was refused"),
        _("It seems to have been sent from another site. Open our page and fill in the form there."),
    ),
    404: (
        _("Page not found"),
        _("There is nothing at this address. It may have been mistyped, or the link may be old."),
    ),
    405: (_("This is not possible here"), _("The address exists, but it cannot be used in this way.")),
    410: (_("This link no longer works"), _("It has expired or was already used.")),
    413: (_("Too much at once"), _("What you sent is larger than this form takes.")),
    429: (
        _("Too many requests"),
        TOO_MANY,
    ),
    500: (
        _("Something went wrong on our side"),
        _("The fault has been recorded. Please try again in a few minutes."),
    ),
    503: (
        _("This is not possible at the moment"),
        _("This should pass soon. Please try again in a minute."),
    ),
}


def error_page(request: web.Request, status: int, *, detail: str = "", lang: str = "") -> web.Response:
    """The page for a status; `detail` is one clear line about what was wrong, as the rules say it."""
    chosen = lang or language_of(request)
    said = _SAID.get(status) or _SAID[400 if status < 500 else 500]
    response = page(
        request,
        "error.html",
        chosen,
        status=status,
        cache=NO_STORE if status >= 429 else "no-cache",
        heading=said[0],
        advice=said[1],
        detail=detail,
        error=status,
    )
    response.headers["Vary"] = "Accept-Language"
    return response
