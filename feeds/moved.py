"""Addresses that have moved, and those that readers and people guess: each leads (301) where it should have.

Rules, in order:

1. `feeds.moved` of the settings leads an older system's paths to today's addresses, for ever. A path of ours cannot be
   moved, a move leads somewhere, and never back: otherwise the service does not start, and one line says why.
2. A topic's former slug (`was` in the topic file) leads to the new one: in feeds, archives and pages.
3. Guesses lead to the default language's feed, or that of the language they name; those without a format, and folders,
   to the page for people.
4. One step: no redirect leads to another. Caches may keep one for a day, so that a mistake can be mended.
5. A query goes along to a page, where it means something; to a feed, which has one address, it does not.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import NoReturn
from urllib.parse import unquote

from aiohttp import hdrs, web

from config.settings import BadSettings, Settings
from config.topics import load_topics
from feeds import vocabulary
from feeds.opml import INDEX
from feeds.streams import ALL, CUSTOM
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy

__all__ = ["MAX_AGE", "ask_moves", "check_moves", "guesses", "moved_for_good", "moved_routes", "renamed_routes"]

MAX_AGE = 86_400
"""Seconds that a cache may keep a redirect."""

_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_GUESSED = {
    "rss": ("feed", "feed/", "rss", "rss/", "rss.xml", "feed.xml", "feed.rss", "index.xml", "index.rss"),
    "atom": ("atom", "atom/", "atom.xml", "feed.atom", "index.atom"),
    "json": ("feed.json", "index.json"),
}
_OWN = re.compile(
    r"/(?:address|confirm|manage|unsubscribe|media|static|embed|api|console|telegram|hub|oembed)(?:/.*)?"
    r"|/(?:favicon\.svg|robots\.txt|sitemap\.xml|healthz|readyz(?:/feeds)?|metrics|embed-[^/]*\.js)?"
)
_PAGES = re.compile(r"|releases/.*|topics/?|search|feeds|privacy|subscribe|embed")
_PICTURE = re.compile(r"[^/]+\.(?:png|svg)")
_MONTH = r"\d{4}-\d{2}"


def moved_for_good(path: str) -> web.Response:
    """301 to a path of ours; scripts of other sites may follow it."""
    headers = _OPEN | {hdrs.LOCATION: path, hdrs.CACHE_CONTROL: f"public, max-age={MAX_AGE}"}
    return web.Response(status=301, headers=headers, text=f"{path}\n")


def check_moves(moved: Mapping[str, str], site: Site, taxonomy: Taxonomy) -> dict[str, str]:
    """Where each old path leads in one step.

    Raises:
        BadSettings: one line that says which move cannot be, and why.
    """
    for old in moved:
        if _is_ours(old, site, taxonomy):
            _refuse(old, "is an address of ours; only paths of an older system can be moved")
        if set("{}") & set(unquote(old)):
            _refuse(old, "holds a brace, which no address may (RFC 3986)")
    return {old: _end(old, moved, site, taxonomy) for old in moved}


def _end(old: str, moved: Mapping[str, str], site: Site, taxonomy: Taxonomy) -> str:
    target, passed = moved[old], [old]
    while target in moved:
        if target in passed:
            _refuse(old, f"leads in a circle: {' > '.join([*passed, target])}")
        passed.append(target)
        target = moved[target]
    if not _is_ours(target.partition("?")[0], site, taxonomy):
        _refuse(
            old, f"leads to {target}, where there is nothing; a path such as {site.feed_path(*_first(site))} is allowed"
        )
    return target


def _first(site: Site) -> tuple[str, str, str]:
    return site.default_language, ALL, "rss"


def _refuse(old: str, why: str) -> NoReturn:
    raise BadSettings(f'feeds.moved: "{old}" {why}')


def _is_ours(path: str, site: Site, taxonomy: Taxonomy) -> bool:
    """Whether something of ours stands at that path, or a part of the site that only requests can tell."""
    path = unquote(path)
    if path.startswith("/feeds/"):
        name = path.removeprefix("/feeds/")
        return name in _lists(site) or _PICTURE.fullmatch(name) is not None or _is_feed(path, site, taxonomy)
    if _OWN.fullmatch(path):
        return True
    lang, _, rest = path.removeprefix("/").partition("/")
    if lang not in site.languages:
        return False
    if topic := re.fullmatch(r"(?:topics|feeds)/(.+)", rest):
        return topic[1] == ALL or taxonomy.get(topic[1]) is not None
    return _PAGES.fullmatch(rest) is not None


def _lists(site: Site) -> frozenset[str]:
    customs = (f"{CUSTOM}.{fmt}" for fmt in (*FEED_FORMATS, "opml"))
    return frozenset((vocabulary.NAME, INDEX, *(f"{lang}.opml" for lang in site.languages), *customs))


def _is_feed(path: str, site: Site, taxonomy: Taxonomy) -> bool:
    found = re.fullmatch(rf"/feeds/([^/]+)/([^/]+?)(?:/{_MONTH})?\.([a-z]+)", path)
    if found is None:
        return False
    lang, topic, fmt = found.groups()
    return lang in site.languages and fmt in FEED_FORMATS and (topic == ALL or taxonomy.get(topic) is not None)


def ask_moves(settings: Settings) -> Callable[[], Awaitable[str]]:
    """For the doctor: whether every move can be."""

    async def ask() -> str:
        moves = check_moves(settings.feeds.moved, settings.as_site(), load_topics(settings.topics_path))
        return f"{len(moves)} old paths lead to addresses of ours"

    return ask


Where = Callable[[web.Request], str]


def moved_routes(moved: Mapping[str, str], site: Site, taxonomy: Taxonomy) -> list[web.RouteDef]:
    """Everything that leads elsewhere; what the settings say goes before guesses. `moved` is checked."""
    old = [_leading(unquote(path), _to(target)) for path, target in moved.items()]
    return [*old, *renamed_routes(site, taxonomy), *guesses(site, taxonomy)]


def renamed_routes(site: Site, taxonomy: Taxonomy) -> Iterator[web.RouteDef]:
    """From every former slug to the slug in force."""
    if not taxonomy.renamed:
        return
    lang, ext = _any("lang", site.languages), _any("ext", FEED_FORMATS)
    topic = _any("topic", taxonomy.renamed)

    def to(pattern: str) -> Where:
        def where(request: web.Request) -> str:
            found = request.match_info
            return pattern.format(**{**found, "topic": taxonomy.current(found["topic"])})

        return where

    yield _leading(f"/feeds/{lang}/{topic}.{ext}", to("/feeds/{lang}/{topic}.{ext}"))
    yield _leading(f"/feeds/{lang}/{topic}/{{month:{_MONTH}}}.{ext}", to("/feeds/{lang}/{topic}/{month}.{ext}"))
    yield _leading(f"/{lang}/topics/{topic}", to("/{lang}/topics/{topic}"))
    yield _leading(f"/{lang}/feeds/{topic}", to("/{lang}/feeds/{topic}"))


def guesses(site: Site, taxonomy: Taxonomy) -> Iterator[web.RouteDef]:
    """What people and readers try."""
    lang, default = _any("lang", site.languages), site.default_language
    topic, ext = _any("topic", (ALL, *taxonomy.slugs, *taxonomy.renamed)), _any("ext", FEED_FORMATS)
    for fmt, names in _GUESSED.items():
        for name in names:
            yield _leading(f"/{name}", _to(site.feed_path(default, ALL, fmt)))
            yield _leading(f"/{lang}/{name}", _by_language(f"/feeds/{{lang}}/{ALL}.{fmt}"))
    for path in ("/opml", "/opml.xml", "/feeds.opml", f"/feeds/{ALL}.opml"):
        yield _leading(path, _to(f"/feeds/{INDEX}"))
    for path in ("/feeds", "/feeds/"):
        yield _leading(path, _to(f"/{default}/feeds"))
    for path in (f"/feeds/{lang}", f"/feeds/{lang}/", f"/{lang}/feeds/"):
        yield _leading(path, _by_language("/{lang}/feeds"))
    yield _leading(f"/feeds/{lang}.{ext}", _by_language(f"/feeds/{{lang}}/{ALL}.{{ext}}"))

    def page(request: web.Request) -> str:
        found = request.match_info
        return f"/{found['lang']}/feeds/{taxonomy.current(found['topic'])}"

    def feed(request: web.Request) -> str:
        found = request.match_info
        return site.feed_path(found["lang"], taxonomy.current(found["topic"]), found["ext"])

    yield _leading(f"/feeds/{lang}/{topic}", page)
    yield _leading(f"/feeds/{lang}/{topic}/", page)
    yield _leading(f"/{lang}/{{where:topics|feeds}}/{topic}.{ext}", feed)


def _any(name: str, values: Iterable[str]) -> str:
    """A part of a route that takes these values only."""
    return f"{{{name}:{'|'.join(map(re.escape, values))}}}"


def _to(target: str) -> Where:
    return lambda _: target


def _by_language(pattern: str) -> Where:
    return lambda request: pattern.format(**request.match_info)


def _leading(path: str, where: Where) -> web.RouteDef:
    async def lead(request: web.Request) -> web.Response:
        target, query = where(request), request.rel_url.raw_query_string
        feed = target.startswith("/feeds/") and not target.startswith(f"/feeds/{CUSTOM}.")
        return moved_for_good(target if feed or "?" in target or not query else f"{target}?{query}")

    return web.get(path, lead)
