"""Addresses to take away: as text to copy, and as a square code for a phone's camera.

Rules, in order:

1. Everything works without JavaScript: an address stands in a field whose whole text one tap or Tab selects.
2. Scripts of our own, small files, add comfort: `static/copy.js` a button that copies, `static/picker.js` results that
   follow the choice by themselves. A page that wants one asks for it here, and only that page's policy lets it run.
3. A code is drawn on the spot as SVG without styles, so that the site's policy needs no exception; one that a camera
   could hardly read is not drawn.
"""

from __future__ import annotations

import segno
from aiohttp import web
from markupsafe import Markup

from syndicator.web.middleware import POLICY

__all__ = ["LONGEST", "qr", "with_copying"]

LONGEST = 500  # bytes of an address: a code of 93 modules a side, which a phone still reads from a screen
SCRIPTED = f"{POLICY}; script-src 'self'"
ASKING = f"{SCRIPTED}; connect-src 'self'"


def with_copying(response: web.Response, *, asking: bool = False) -> web.Response:
    """Let the copy script run on this page, and if `asking` one that asks us for more.

    Its template names them in its block `scripts`, by `ui.copying()` and `ui.picking()`.
    """
    response.headers["Content-Security-Policy"] = ASKING if asking else SCRIPTED
    return response


def qr(address: str) -> Markup | None:
    """An address as a QR code (ISO/IEC 18004), drawn as SVG; None if it is too long.

    Light and dark do not follow the reader's colours: not every camera reads a code in negative.
    """
    if len(address.encode()) > LONGEST:
        return None
    made = segno.make_qr(address, error="l")
    drawn = made.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass="code", lineclass=None)
    return Markup(drawn)  # noqa: S704  # segno's drawing: numbers only
