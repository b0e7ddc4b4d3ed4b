"""The office's picture, as feeds show it: read once, served at an address of our own that stays.

Rules, in order:

1. `feeds.logo` names a PNG or an SVG file; without it the shipped pair is shown, a wide logo and a square icon.
2. RSS allows pictures of at most 144 by 400 pixels, and no SVG (RSS 2.0, `<image>`; the W3C's validator): a file that
   does not fit is left out of RSS, and a line at the start says so. Atom and JSON Feed show it all the same.
3. A picture that is square is the icon as well (RFC 4287 §4.2.5).
4. It may be kept for a day; its validator says when it is another.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from aiohttp import web

from config.settings import BadSettings
from feeds import build, files
from feeds.answering import Answering
from feeds.files import Stored
from feeds.streams import Logo
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site

__all__ = ["Pictures", "picture_routes", "read_pictures"]

_SHIPPED = Path(__file__).parent / "static"
_WIDEST, _HIGHEST = 144, 400
_LARGEST = 500_000  # bytes; it is asked for by every reader
_A_DAY = 86400  # seconds
_TYPES = {"png": "image/png", "svg": "image/svg+xml"}
_PNG = b"\x89PNG\r\n\x1a\n"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pictures:
    """What feeds say of the pictures, and their bytes by name (`logo.png`, `icon.png`, `logo.svg`)."""

    logo: Logo
    bodies: Mapping[str, bytes] = field(default_factory=dict)


def read_pictures(path: str, site: Site) -> Pictures:
    """The pictures of this file; of an empty path the shipped ones.

    Raises:
        BadSettings: the file cannot be read, or is neither a PNG nor an SVG of a bearable size.
    """
    if not path:
        bodies = {name: (_SHIPPED / name).read_bytes() for name in ("logo.png", "icon.png")}
        shown = Logo(_address(site, "logo.png"), _address(site, "icon.png"), _size(bodies["logo.png"]))
        return Pictures(shown, bodies)
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        raise BadSettings(f"feeds.logo: {path} cannot be read: {error.strerror or error}") from None
    if len(body) > _LARGEST:
        raise BadSettings(f"feeds.logo: {path} has {len(body)} bytes; at most {_LARGEST} are allowed")
    if body.startswith(_PNG):
        return _png(path, body, site)
    if b"<svg" not in body[:1000]:
        raise BadSettings(f"feeds.logo: {path}: a PNG or an SVG file is allowed")
    log.warning("RSS allows no SVG; RSS feeds show no logo, the others do", file=path)
    return Pictures(Logo(_address(site, "logo.svg")), {"logo.svg": body})


def picture_routes(pictures: Pictures, site: Site, clock: Clock) -> list[web.RouteDef]:
    """Where the pictures are served."""
    answering = Answering(site.base_url, _A_DAY, (), clock)

    def route(name: str, body: bytes) -> web.RouteDef:
        stored = Stored(body, {}, files.etag_of(body), build.UNDATED)
        kind = _TYPES[name.rpartition(".")[2]]

        async def picture(request: web.Request) -> web.Response:
            return answering.answer(request, stored, kind, f"/feeds/{name}")

        return web.get(f"/feeds/{name}", picture)

    return [route(name, body) for name, body in pictures.bodies.items()]


def _png(path: str, body: bytes, site: Site) -> Pictures:
    size = _size(body)
    if size is None:
        raise BadSettings(f"feeds.logo: {path}: not a whole PNG file")
    width, height = size
    fits = width <= _WIDEST and height <= _HIGHEST
    if not fits:
        allowed = f"{_WIDEST} by {_HIGHEST}"
        log.warning("RSS feeds show no logo: it is too large", file=path, size=f"{width} by {height}", allowed=allowed)
    address = _address(site, "logo.png")
    return Pictures(Logo(address, address if width == height else "", size if fits else None), {"logo.png": body})


def _size(body: bytes) -> tuple[int, int] | None:
    """Width and height as the PNG's header says (PNG, section 11.2.1)."""
    if len(body) < 24 or body[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", body[16:24])
    return (width, height) if width and height else None


def _address(site: Site, name: str) -> str:
    return site.absolute(f"/feeds/{name}")
