"""oEmbed 1.0: how other sites show a page of ours when somebody pastes its address.

Rules, in order:

1. Only addresses of our own are answered, and only where their page is there for anyone: what may not be seen gets
   the same 404 as what never was, and so does a language that a release lacks.
2. A withdrawn release is answered with a notice (its number, the date, the reason), so that a site that asks again
   replaces the old text; nothing of that text is in it.
3. `html` is a quotation with real links, no script: consumers strip scripts, and what is left still reads.
4. The site's own address, which leads each visitor to the home page in their language, is answered in its first one.
5. Each answer costs the visitor a turn (`web.turns`).
6. `maxwidth` and `maxheight` bound every size that is stated; a picture that does not fit is not named.

Source: https://oembed.com, section 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET  # only written here, never parsed

import aiohttp_jinja2
from aiohttp import hdrs, web

from feeds.answering import plain
from feeds.embed.pictures import size_of
from feeds.embed.places import Places
from feeds.embed.showing import Item, item_of
from feeds.embed.wanted import Wanted
from feeds.entry import entry_of
from syndicator.domain.filters import Filter
from syndicator.domain.model import Release, Standing
from syndicator.domain.text import one_line, strip_illegal
from syndicator.domain.topics import Topic
from syndicator.domain.visibility import standing
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.web.parts import PARTS
from syndicator.web.release_page import number_in
from syndicator.web.turns import take_turn

__all__ = ["OEmbed"]

WIDTH = 600  # pixels that a quotation takes where nobody says otherwise
LINE, LETTER, AROUND = 24, 8, 60  # pixels: a line of text, a letter in it, what stands around the text
CACHE_AGE = 300  # seconds; short, so that corrections and withdrawals arrive
LONGEST_URL = 2000
_OPEN = {
    hdrs.CACHE_CONTROL: "public, max-age=60",
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class _Refused(Exception):
    """This cannot be answered: the status, and why in one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


_UNKNOWN = "oembed: there is no page of ours at this url"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The room there is, in pixels."""

    width: int
    height: int | None


@dataclass(frozen=True, slots=True)
class OEmbed:
    """Answers for the site's release, topic and home pages."""

    places: Places
    database: Database

    async def serve(self, request: web.Request) -> web.Response:
        """GET /oembed?url=&format=&maxwidth=&maxheight=."""
        try:
            form = _form(request.query)
            bounds = _bounds(request.query)
            path = _path(request.query.get("url", ""), self.places.site.base_url)
            wait = take_turn(request, self.places.clock())
            if wait:
                line = f"oembed: many questions came from your network; try again in {wait} s"
                return plain(429, line, {hdrs.RETRY_AFTER: str(wait)})
            answer = await self._answer(request, path, bounds)
        except _Refused as refused:
            return plain(refused.status, str(refused))
        if form == "json":
            body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
            return web.Response(body=body, content_type="application/json", headers=_OPEN)
        return web.Response(body=_xml(answer), content_type="text/xml", charset="utf-8", headers=_OPEN)

    async def _answer(self, request: web.Request, path: str, bounds: _Bounds) -> dict[str, str | int]:
        site = self.places.site
        match path.split("/")[1:]:
            case [] | [""]:
                return await self._list(request, Filter(langs=(site.default_language,)), bounds)
            case [lang, "" | "topics"] | [lang, "topics", ""] | [lang] if lang in site.languages:
                return await self._list(request, Filter(langs=(lang,)), bounds)
            case [lang, "topics", slug] if lang in site.languages and (topic := self._topic(slug)):
                return await self._list(request, Filter(langs=(lang,), topics=(topic.slug,)), bounds)
            case [lang, "releases", name] if lang in site.languages and (number := number_in(name)) is not None:
                return await self._release(request, lang, number, bounds)
        raise _Refused(404, _UNKNOWN)

    def _topic(self, slug: str) -> Topic | None:
        """By the slug of today or of before."""
        return self.places.taxonomy.get(self.places.taxonomy.current(slug))

    async def _release(self, request: web.Request, lang: str, number: int, bounds: _Bounds) -> dict[str, str | int]:
        now = self.places.clock()
        async with self.database.reading() as session:
            release = await releases.visible(session, number, now)
        if release is None:
            raise _Refused(404, _UNKNOWN)
        stands = standing(release.state, release.public_at, release.opened_at, now)
        if stands is Standing.WITHDRAWN:
            return self._gone(request, release, lang, bounds)
        variant = release.variant(lang)
        if stands is Standing.HIDDEN or variant is None:
            raise _Refused(404, _UNKNOWN)
        places = self.places
        item = item_of(entry_of(release, variant, places.site, places.taxonomy, places.texts), places.site)
        answer = self._quote(request, lang, item.title, [item], bounds)
        return answer | await _thumbnail(request, item, bounds, places.site.base_url)

    def _gone(self, request: web.Request, release: Release, lang: str, bounds: _Bounds) -> dict[str, str | int]:
        t, site = self.places.texts(lang), self.places.site
        when = release.withdrawn_at or release.updated_at or release.public_at
        said = t("This release was withdrawn on {date}.", date=t.date(when, site.zone))
        title = t("Release No. {number} was withdrawn", number=release.number)
        address = site.release(lang, release.number, "")
        reason = one_line(release.reason_in(lang))
        item = Item(address, lang, title, release.public_at, f"{said} {reason}".strip(), withdrawn=True)
        return self._quote(request, lang, title, [item], bounds)

    async def _list(self, request: web.Request, wanted: Filter, bounds: _Bounds) -> dict[str, str | int]:
        asked = Wanted(wanted)
        items = await self.places.showcase.items(asked, self.places.clock())
        title = str(self.places.context(asked)["title"])
        return self._quote(request, asked.lang, title, list(items), bounds, listed=True)

    def _quote(
        self, request: web.Request, lang: str, title: str, items: list[Item], bounds: _Bounds, *, listed: bool = False
    ) -> dict[str, str | int]:
        site, wanted = self.places.site, Wanted(Filter(langs=(lang,)))
        texts = [part for item in items for part in (item.title, item.note, *(() if listed else (item.summary,)))]
        height = _height(texts, bounds.width)
        short = bounds.height is not None and height > bounds.height
        if short:
            height = min(bounds.height or height, _height([item.title for item in items], bounds.width))
        context = self.places.context(wanted) | {"items": items, "title": title, "listed": listed, "short": short}
        return {
            "version": "1.0",
            "type": "rich",
            "title": title,
            "author_name": site.name(lang),
            "author_url": site.home(lang),
            "provider_name": site.name(lang),
            "provider_url": site.home(lang),
            "cache_age": CACHE_AGE,
            "html": aiohttp_jinja2.render_string("embed/quote.html", request, context).strip(),
            "width": bounds.width,
            "height": height,
        }


def _form(query: Mapping[str, str]) -> str:
    asked = query.get("format", "json").lower()
    if asked not in ("json", "xml"):
        raise _Refused(501, "oembed: format may be json or xml")
    return asked


def _bounds(query: Mapping[str, str]) -> _Bounds:
    found: dict[str, int] = {}
    for name in ("maxwidth", "maxheight"):
        given = query.get(name, "").strip()
        if not given:
            continue
        if not (given.isascii() and given.isdigit() and len(given) <= 6 and int(given) > 0):
            raise _Refused(400, f"oembed: {name} is to be a number of pixels above 0")
        found[name] = int(given)
    return _Bounds(min(WIDTH, found.get("maxwidth", WIDTH)), found.get("maxheight"))


def _path(url: str, base_url: str) -> str:
    """The path of a page of ours, decoded; over http or https, since old links outlive a change of the scheme."""
    if not url.strip():
        raise _Refused(400, "oembed: url is missing; give the address of a release page")
    if len(url) > LONGEST_URL:
        raise _Refused(404, _UNKNOWN)
    try:
        asked, ours = urlsplit(url.strip()), urlsplit(base_url)
        same = asked.scheme in ("http", "https") and asked.netloc.lower() == ours.netloc.lower()
    except ValueError:
        same = False
    if not same or not (asked.path == ours.path or asked.path.startswith(f"{ours.path}/")):
        raise _Refused(404, _UNKNOWN)
    return unquote(asked.path.removeprefix(ours.path))


def _height(texts: list[str], width: int) -> int:
    """About how many pixels these paragraphs take in that width."""
    letters = max(10, width // LETTER)
    return AROUND + sum(LINE * (1 + -(-len(text) // letters)) for text in texts if text)


async def _thumbnail(request: web.Request, item: Item, bounds: _Bounds, base_url: str) -> dict[str, str | int]:
    if item.picture is None:
        return {}
    path = await request.app[PARTS].media.find(item.picture.url.removeprefix(base_url))
    size = await size_of(path) if path is not None else None
    if size is None or size[0] > bounds.width or (bounds.height is not None and size[1] > bounds.height):
        return {}
    return {"thumbnail_url": item.picture.url, "thumbnail_width": size[0], "thumbnail_height": size[1]}


def _xml(answer: Mapping[str, str | int]) -> bytes:
    root = ET.Element("oembed")
    for name, value in answer.items():
        ET.SubElement(root, name).text = strip_illegal(str(value))
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text
