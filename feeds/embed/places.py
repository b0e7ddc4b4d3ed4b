"""The frame (for iframes) and the fragment (for server-side includes): small, finished, without a script.

Rules, in order:

1. Equal wishes get equal bytes, and are told the one address of them (`Link: rel="canonical"`); any spelling is
   answered where it was asked, since a server that includes us follows no redirects.
2. Both may be kept for a minute, and no longer whatever happens, and are asked again with their ETag: a correction or
   a withdrawal shows then.
3. A finished answer is kept while what it shows is true, and costs nobody anything; each one that has to be made costs
   the visitor a turn, and without one is a 429: a small page in the frame, a line in the fragment.
4. Any page may frame the frame; for the rest its policy lets nothing in but our own pictures and the one style it has.
5. A wish that cannot be met is answered in one line of text, 400.

Sources: W3C CSP 3 (hashes, frame-ancestors); RFC 6596 (canonical).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import aiohttp_jinja2
from aiohttp import hdrs, web
from markupsafe import Markup

from feeds.answering import plain
from feeds.custom_cache import Cache
from feeds.embed.scripts import FOLDER
from feeds.embed.showing import Showcase, Shown
from feeds.embed.wanted import PAGE, THEMES, Wanted, read
from feeds.streams import custom_links
from syndicator.domain.filters import BadFilter, Filter, canonical
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.web.errors import TOO_MANY
from syndicator.web.turns import take_turn

__all__ = ["Places", "fragment_path", "frame_path", "more_address", "style_hash"]

FINISHED, FINISHED_SIZE = 512, 8_000_000  # answers that are kept, and the bytes that they may take

_OPEN = {
    hdrs.CACHE_CONTROL: "public, max-age=60",
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def style_hash(style: str) -> str:
    """What a policy says to let just this style in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode('ascii')}'"


def frame_path(wanted: Wanted) -> str:
    """The frame, relative to the site. It cannot see the colours of the page around it, and is light instead."""
    return f"/embed/frame?{replace(wanted, theme='light' if wanted.theme == PAGE else wanted.theme).query}"


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
    _finished: Cache[tuple[str, str], tuple[Shown, str]] = field(
        default_factory=lambda: Cache(FINISHED, FINISHED_SIZE), repr=False, compare=False
    )

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
        now, key = self.clock(), (template, wanted.query)
        wait = take_turn(request, now) if key not in self._finished else 0
        if wait:
            return self._later(request, wanted, wait, headers)
        shown = await self.showcase.shown(wanted, now)
        kept = self._finished.get(key)
        text = kept[1] if kept is not None and kept[0] is shown else ""
        if not text:
            text = aiohttp_jinja2.render_string(template, request, self.context(wanted) | {"items": shown.items})
            self._finished.put(key, (shown, text), len(text.encode()))
        link = f'<{self.site.base_url}{quote(path(wanted), safe="%/?&=+,")}>; rel="canonical"'
        told = {hdrs.LINK: link, "Content-Language": wanted.lang}
        response = web.Response(text=text, content_type="text/html", charset="utf-8", headers=_OPEN | told)
        response.headers.update(headers)
        return response

    def _later(self, request: web.Request, wanted: Wanted, wait: int, headers: Mapping[str, str]) -> web.Response:
        """429: in a frame people read it, an include is read by those who run the server."""
        if "Content-Security-Policy" not in headers:
            line = f"Many embeds were asked for from your network; try again in {wait} s."
            return plain(429, line, {hdrs.RETRY_AFTER: str(wait)})
        said = self.texts(wanted.lang)(TOO_MANY)
        text = aiohttp_jinja2.render_string("embed/later.html", request, self.context(wanted) | {"said": said})
        told = {hdrs.RETRY_AFTER: str(wait), hdrs.CACHE_CONTROL: "no-store", **headers}
        return web.Response(status=429, text=text, content_type="text/html", charset="utf-8", headers=_OPEN | told)

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
