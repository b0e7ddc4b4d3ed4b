"""The script of `<press-feed>`: every version that was ever given out, each at an address whose bytes never change.

Rules, in order:

1. A version is a file `static/press-feed-{version}.js`; the greatest number is the one that snippets name. A change is
   a new file beside the old ones, since partners' pages pin the old by its digest (SRI) for years.
2. `static/press-feed.sums` keeps what each version's digest was when it was given out; a test holds files and list
   together, so that nobody edits what is out.
3. Any site may load it (CORS and CORP), anybody may keep it for good; it is packed once, at start. Its ETag is the same
   packed and plain, as a feed's is (`feeds.answering`, rule 2): no parts of it are served.

Sources: W3C Subresource Integrity; RFC 8246 (immutable); Fetch, Cross-Origin-Resource-Policy.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from feeds.answering import plain
from feeds.conditional import choose_coding

__all__ = ["FOLDER", "Script", "Scripts", "integrity_of"]

FOLDER = Path(__file__).parent / "static"
_NAME = re.compile(r"press-feed-([1-9][0-9]{0,5})\.js")
_HEADERS = {
    hdrs.CONTENT_TYPE: "text/javascript; charset=utf-8",
    hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable",
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}


@dataclass(frozen=True, slots=True)
class Script:
    """One version: its bytes, their gzip, and the digest that a page states in `integrity`."""

    version: str
    body: bytes
    packed: bytes
    integrity: str


def integrity_of(body: bytes) -> str:
    """The digest as the `integrity` attribute has it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode("ascii")


class Scripts:
    """All versions in a folder.

    Raises:
        ValueError: the folder holds none.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        found: dict[int, Script] = {}
        for path in folder.iterdir():
            if named := _NAME.fullmatch(path.name):
                body = path.read_bytes()
                found[int(named[1])] = Script(named[1], body, gzip.compress(body, 9, mtime=0), integrity_of(body))
        if not found:
            raise ValueError(f"{folder}: no press-feed-NUMBER.js, the script that partners' pages load")
        self.newest = found[max(found)]
        self.all: Mapping[str, Script] = {script.version: script for script in found.values()}

    async def serve(self, request: web.Request) -> web.Response:
        """GET /embed-{version}.js."""
        script = self.all.get(request.match_info["version"])
        if script is None:
            return plain(404, f"There is no such version of the script; the newest is /embed-{self.newest.version}.js.")
        headers = _HEADERS | {hdrs.ETAG: f'"{script.integrity}"'}
        if any(tag.value in (script.integrity, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        accepted = request.headers.getall(hdrs.ACCEPT_ENCODING, [])
        if choose_coding(",".join(accepted) if accepted else None, ["gzip"]) == "gzip":
            return web.Response(body=script.packed, headers=headers | {hdrs.CONTENT_ENCODING: "gzip"})
        return web.Response(body=script.body, headers=headers)
