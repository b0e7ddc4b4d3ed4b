"""The frame (for iframes) and the fragment (for server-side includes): small, finished, without a script.

Rules, in order:

1. Equal wishes get equal bytes, and are told the one address of them (`Link: rel="canonical"`); any spelling is
   answered where it was asked, since a server that includes us follows no redirects.
2. Both may be kept for a minute and are asked again with their ETag: a correction or a withdrawal shows then.
3. Any page may frame the frame; for the rest its policy lets nothing in but our own pictures and the one style it has.
4. A wish that cannot be met is answered in one line of text, 400.

Sources: W3C CSP 3 (hashes, frame-ancestors); RFC 6596 (canonical).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import aiohttp_jinja2
from aiohttp import hdrs, web
from markupsafe import Markup

from feeds.answering import plain
from feeds.embed.scripts import FOLDER
from feeds.embed.showing import Showcase
from feeds.embed.wanted import THEMES, Wanted, read
from feeds.streams import custom_links
from syndicator.domain.filters import BadFilter, Filter, canonical
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["Places", "fragment_path", "frame_path", "more_address", "style_hash"]

_SHORT = "public, max-age=60, stale-while-revalidate=60, stale-if-error=86400"
_OPEN = {
    hdrs.CACHE_CONTROL: _SHORT,
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def style_hash(style: str) -> str:
    """What a policy says to let just this style in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode('ascii')}'"


def frame_path(wanted: Wanted) -> str:
    """The frame, relative to the site."""
    return f"/embed/frame?{wanted.query}"


def fragment_path(wanted: Wanted) -> str:
    """The fragment, relative to the site."""
    return f"/embed/fragment?{replace(wanted, theme=THEMES[0]).query}"  # it has no colours


def more_address(wanted: Filter, site: Site) -> str:
    """The page of ours that shows all of what a filter takes; a filter for search if it is no topic's."""
    lang = wanted.langs[0]
    if wanted == Filter(langs=wanted.langs):
        return site.home(lang)
    if len(wanted.topics) == 1 and wanted == Filter(langs=wanted.langs, topics=wanted.topics):
        return site.topic(lang, wanted.topics[0])
    query = canonical(Filter((), wanted.topics, wanted.without, wanted.kinds, wanted.words))
    return f"{site.base_url}/{lang}/search?{query}"


@dataclass(frozen=True, slots=True)
class Places:
    """Answers for both; `showcase` finds what they hold."""

    site: Site
    taxonomy: Taxonomy
    texts: Texts
    showcase: Showcase
    clock: Clock
    style: str = (FOLDER / "frame.css").read_text("utf-8")

    async def frame(self, request: web.Request) -> web.Response:
        """GET /embed/frame?FILTER&limit=&layout=&theme=&heading=&images=."""
        policy = (
            f"default-src 'none'; img-src 'self'; style-src {style_hash(self.style)}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors *"
        )
        headers = {"Content-Security-Policy": policy, "X-Robots-Tag": "noindex"}
        return await self._answer(request, "embed/frame.html", frame_path, headers)

    async def fragment(self, request: web.Request) -> web.Response:
        """GET /embed/fragment?FILTER&limit=&layout=&heading=&images=: HTML to include, with plain classes."""
        return await self._answer(request, "embed/fragment.html", fragment_path, {"X-Robots-Tag": "noindex"})

    async def _answer(
        self, request: web.Request, template: str, path: Callable[[Wanted], str], headers: Mapping[str, str]
    ) -> web.Response:
        try:
            wanted = read(tuple(request.query.items()), self._languages, self.taxonomy)
        except BadFilter as error:
            return plain(400, str(error))
        items = await self.showcase.items(wanted, self.clock())
        text = aiohttp_jinja2.render_string(template, request, self.context(wanted) | {"items": items})
        link = f'<{self.site.base_url}{quote(path(wanted), safe="%/?&=+,")}>; rel="canonical"'
        told = {hdrs.LINK: link, "Content-Language": wanted.lang}
        response = web.Response(text=text, content_type="text/html", charset="utf-8", headers=_OPEN | told)
        response.headers.update(headers)
        return response

    @property
    def _languages(self) -> tuple[str, ...]:
        site = self.site
        return tuple(dict.fromkeys((site.default_language, *site.languages)))

    def context(self, wanted: Wanted) -> dict[str, Any]:
        """What the templates of embeds need beside the items."""
        lang, site = wanted.lang, self.site
        t = self.texts(lang)
        return {
            "wanted": wanted,
            "t": t,
            "lang": lang,
            "office": site.name(lang),
            "title": custom_links(wanted.filter, lang, site, self.taxonomy, self.texts).title,
            "home": more_address(wanted.filter, site),
            "style": Markup(self.style),  # noqa: S704  # our own file
            "date": lambda when: t.date(when, site.zone),
        }
