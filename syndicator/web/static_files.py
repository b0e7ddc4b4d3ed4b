"""Static files under names that hold their hash: they never change, so they are kept for a year.

The few files are read once at start and served from memory; a name that is not there is a 404.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from aiohttp import web

__all__ = ["FOREVER", "StaticFiles"]

FOREVER = "public, max-age=31536000, immutable"
FOLDER = Path(__file__).parent / "static"


class StaticFiles:
    """The files of `folder` and the addresses they have now."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._served: dict[str, tuple[bytes, str]] = {}
        self._hashed: dict[str, str] = {}
        self._plain: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.iterdir()):
            body = path.read_bytes()
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            name = f"{path.stem}.{hashlib.sha256(body).hexdigest()[:12]}{path.suffix}"
            self._served[name] = (body, kind)
            self._plain[path.name] = (body, kind)
            self._hashed[path.name] = f"/static/{name}"

    def address(self, name: str) -> str:
        """Where a file is served. Raises KeyError for a name that is not in the folder."""
        return self._hashed[name]

    async def serve(self, request: web.Request) -> web.Response:
        """GET /static/{name}."""
        found = self._served.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return _answer(found, FOREVER)

    async def favicon(self, _request: web.Request) -> web.Response:
        """GET /favicon.svg, under its plain name."""
        return _answer(self._plain["favicon.svg"], "public, max-age=86400")


def _answer(found: tuple[bytes, str], cache: str) -> web.Response:
    body, kind = found
    charset = "utf-8" if kind.startswith("text/") else None
    return web.Response(body=body, content_type=kind, charset=charset, headers={"Cache-Control": cache})
