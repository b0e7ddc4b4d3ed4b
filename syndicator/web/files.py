"""Files: pictures and attachments of releases, and what robots ask for.

Rules, in order:

1. A kept file is there only while a release that may be shown now holds it; otherwise its address is like any that
   was never given out. Caches ask again after a minute, so that a picture goes with its release.
2. What is no picture is downloaded, not opened.
3. Whatever a file holds, a browser that opens it runs nothing of it (CSP sandbox, nosniff).
4. Any page may show our public pictures, also one that isolates itself (COEP): embeds and feeds stand there.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from syndicator.domain.filters import Filter
from syndicator.pipeline.media import TYPES
from syndicator.store import media as kept
from syndicator.store import releases
from syndicator.web.parts import PARTS, Parts
from syndicator.web.rendering import SHORT
from syndicator.web.views import release_paths

__all__ = ["media", "robots", "sitemap"]

SHOWN = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"})
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
SITEMAP_ENTRIES = 1000


async def media(request: web.Request) -> web.StreamResponse:
    """GET /media/...: a kept file of a release that may be shown now."""
    parts = request.app[PARTS]
    path = await parts.media.find(request.path) if await _public(parts, request.path) else None
    if path is None:
        raise web.HTTPNotFound
    kind = TYPES.get(path.suffix.removeprefix("."), "application/octet-stream")
    headers = {
        "Content-Type": kind,
        "Cache-Control": SHORT,
        "Content-Security-Policy": SANDBOX,
        "Content-Disposition": "inline" if kind in SHOWN else "attachment",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(path, headers=headers)


async def _public(parts: Parts, url: str) -> bool:
    async with parts.database.reading() as session:
        return await kept.public(session, url, parts.clock())


async def robots(request: web.Request) -> web.Response:
    """GET /robots.txt: everything but private pages and searches."""
    site = request.app[PARTS].site
    hidden = ["/api/", "/confirm/", "/manage/", "/unsubscribe/", *(f"/{lang}/search" for lang in site.languages)]
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in hidden), f"Sitemap: {site.base_url}/sitemap.xml"]
    return web.Response(text="\n".join(lines) + "\n", headers={"Cache-Control": "public, max-age=3600"})


async def sitemap(request: web.Request) -> web.Response:
    """GET /sitemap.xml: the newest releases, each language naming the others (sitemaps.org, with xhtml:link)."""
    parts = request.app[PARTS]
    site, now = parts.site, parts.clock()
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">',
    ]
    async with parts.database.reading() as session:
        for lang in site.languages:
            found = await releases.listing(session, Filter(), parts.taxonomy, lang=lang, now=now, limit=SITEMAP_ENTRIES)
            lines.extend(_entry(release_paths(release, site), lang, site.base_url) for release in found)
    lines.append("</urlset>")
    return web.Response(
        text="\n".join(lines), content_type="application/xml", headers={"Cache-Control": "public, max-age=3600"}
    )


def _entry(paths: dict[str, str], lang: str, base: str) -> str:
    others = "".join(
        f'<xhtml:link rel="alternate" hreflang="{code}" href={quoteattr(base + path)}/>'
        for code, path in paths.items()
        if code != lang
    )
    return f"<url><loc>{escape(base + paths[lang])}</loc>{others}</url>"
