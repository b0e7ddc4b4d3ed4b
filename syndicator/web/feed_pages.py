"""The feeds pages for people: choose what to follow and take its address away, and a page for each feed.

Rules, in order:

1. A choice is the address's query, the same text as the filter: it can be kept, shared and made without JavaScript.
   With it, `static/picker.js` asks for this same page at each change and puts in its results.
2. What is shown beside an address is what its feed holds: both come from one filter. Without a language the page's
   own one counts.
3. A choice that cannot be used is said beside its field (400), and everything chosen stays as it was.
4. A choice that equals a feed has that feed's address: `FeedCatalogue.custom` knows.
5. Topic pages and feed pages name each other; a topic that is not in the file has neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import MAX_LENGTH, BadFilter, Filter, canonical
from syndicator.domain.ports import FeedLinks
from syndicator.domain.site import Site
from syndicator.i18n import Translator
from syndicator.store import releases
from syndicator.web.asked import asked_filter
from syndicator.web.copying import qr, with_copying
from syndicator.web.listing import version_cards, with_query
from syndicator.web.parts import PARTS, Parts
from syndicator.web.refusals import field_of, refusal
from syndicator.web.rendering import page
from syndicator.web.telegram_links import TelegramLink, telegram_link
from syndicator.web.turns import no_turn
from syndicator.web.views import Card, Link, topic_links, topic_tree
from syndicator.wording import filter_in_words, kind_name

__all__ = ["feed", "picker"]

NEWEST = 10
ASKED = ("topic", "not", "kind", "q", "lang")
RANKS = 3  # languages that the form lets one put in order
EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What stands in the form, as it was sent: kept even where it makes no filter."""

    topics: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    words: str = ""
    langs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Followed:
    """A filter's feed: its addresses, what it is in words, what it holds now, and other ways to get the same."""

    links: FeedLinks
    words: str
    languages: tuple[str, ...]
    total: int
    cards: tuple[Card, ...]
    qr: Markup | None
    everything: str
    subscribe: str
    telegram: TelegramLink | None
    embed: str


async def picker(request: web.Request) -> web.Response:
    """GET /{lang}/feeds: the form, and the feed of what was chosen. Words cost a turn."""
    parts, lang = request.app[PARTS], request.match_info["lang"]
    t, errors = parts.texts(lang), {}
    query = [(name, value) for name in ASKED for value in request.query.getall(name, ()) if value.strip()]
    followed = None
    if any(name == "q" for name, _ in query) and (refused := no_turn(request, parts.clock())):
        return refused
    async with parts.database.reading() as session:
        try:
            wanted = _wanted(query, lang, parts)
            followed = await _followed(request, session, wanted, lang)
        except BadFilter as error:
            wanted = Filter(langs=(lang,))
            errors[field_of(error)] = refusal(error, t)
        kinds = await releases.kinds(session, parts.clock())
    chosen = _chosen(query, lang, parts)
    response = page(
        request,
        "feeds.html",
        lang,
        status=400 if errors else 200,
        cache="no-cache" if errors else "public, max-age=60",
        paths=with_query({other: f"/{other}/feeds" for other in parts.site.languages}, query),
        feeds=[followed.links] if followed else [],
        asked=bool(query),
        chosen=chosen,
        errors=errors,
        followed=followed,
        topics=topic_tree(parts.taxonomy, t),
        kinds=[(kind, kind_name(kind, t)) for kind in sorted({*kinds, *wanted.kinds})],
        choices=[(other, parts.texts(other).language_name) for other in parts.site.languages],
        ranks=_ranks(chosen.langs, parts.site.languages, lang),
        streams=_ready_made(parts, lang),
        hubs=parts.catalogue.hubs(),
    )
    return with_copying(response, asking=True)


async def feed(request: web.Request) -> web.Response:
    """GET /{lang}/feeds/{topic}: one feed."""
    parts, lang, slug = request.app[PARTS], request.match_info["lang"], request.match_info["topic"]
    topic = parts.taxonomy.get(slug)
    if topic is None and slug != EVERYTHING:
        raise web.HTTPNotFound
    t, now = parts.texts(lang), parts.clock()
    wanted = Filter(langs=(lang,), topics=() if topic is None else (slug,))
    async with parts.database.reading() as session:
        followed = await _followed(request, session, wanted, lang)
        months = await releases.months(session, wanted, parts.taxonomy, lang=lang, zone=parts.site.zone, now=now)
    above = parts.taxonomy.ancestors(slug)[::-1] if topic else ()
    below = [other.slug for other in parts.taxonomy.topics if topic is not None and other.parent == slug]
    response = page(
        request,
        "feed.html",
        lang,
        paths={other: parts.site.feed_page_path(other, slug) for other in parts.site.languages},
        feeds=[followed.links],
        heading=topic.name(lang) if topic else t("All releases"),
        about=topic.name(lang) if topic else "",
        topic_page=f"/{lang}/topics/{slug}" if topic else f"/{lang}/search",
        parents=_as_feeds(topic_links(above, parts.taxonomy, t), above, lang),
        children=_as_feeds(topic_links(below, parts.taxonomy, t), below, lang),
        followed=followed,
        archives=_archives(months, slug, lang, parts),
        hubs=parts.catalogue.hubs(),
    )
    return with_copying(response)


def _wanted(query: Sequence[tuple[str, str]], lang: str, parts: Parts) -> Filter:
    """The filter of a query, in the languages asked for or the page's own.

    Raises:
        BadFilter: a value cannot be used.
    """
    wanted = asked_filter(query, parts.taxonomy, parts.site.languages)
    return wanted if wanted.langs else replace(wanted, langs=(lang,))


def _chosen(query: Sequence[tuple[str, str]], lang: str, parts: Parts) -> Chosen:
    """What was sent, in bounds; boxes that are not on the form are not shown, so they are not kept."""
    sent = {name: [value[:MAX_LENGTH] for key, value in query if key == name] for name in ASKED}
    split = {name: tuple(part.strip().lower() for value in sent[name] for part in value.split(",")) for name in ASKED}
    topics, without = (tuple(map(parts.taxonomy.current, split[name])) for name in ("topic", "not"))
    return Chosen(topics, without, split["kind"], " ".join(sent["q"]), split["lang"] or (lang,))


def _ranks(chosen: Sequence[str], languages: Sequence[str], own: str) -> list[str]:
    """What each of the selects for languages shows, best first; "" is none. Without a choice it is the page's own."""
    known = [lang for lang in dict.fromkeys(chosen) if lang in languages] or [own]
    places = min(len(languages), max(RANKS, len(known)))
    return [*known, *[""] * places][:places]


async def _followed(request: web.Request, session: AsyncSession, wanted: Filter, lang: str) -> Followed:
    """A filter's feed; `wanted` names its languages."""
    parts, t = request.app[PARTS], request.app[PARTS].texts(lang)
    now, links = parts.clock(), parts.catalogue.custom(wanted, lang)
    found = await releases.listing(session, wanted, parts.taxonomy, lang=lang, now=now, limit=NEWEST)
    several = len(wanted.langs) > 1
    plain, first = canonical(replace(wanted, langs=())), wanted.langs[0]
    spoken = canonical(wanted) if several else "&".join(filter(None, (plain, f"language={first}")))
    return Followed(
        links=links,
        words=filter_in_words(replace(wanted, langs=()), parts.taxonomy, t),
        languages=wanted.langs,
        total=await releases.count(session, wanted, parts.taxonomy, lang=lang, now=now),
        cards=version_cards(request, found, wanted.langs, lang),
        qr=qr(links.rss),
        everything=_with(f"/{lang}/search", canonical(wanted)) if several else _with(f"/{first}/search", plain),
        subscribe=_with(f"/{lang}/subscribe", spoken),
        telegram=telegram_link(parts, lang, wanted),
        embed=_with(f"/{lang}/embed", spoken),
    )


def _with(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _ready_made(parts: Parts, lang: str) -> list[tuple[FeedLinks, Link]]:
    """Every feed of a language, with its page."""
    t, found = parts.texts(lang), []
    for stream in parts.catalogue.links(lang):
        topic = parts.taxonomy.get(stream.topic)
        label = topic.name(lang) if topic else t("All releases")
        found.append((stream, Link(label, parts.site.feed_page_path(lang, stream.topic))))
    return found


def _as_feeds(topics: Sequence[Link], slugs: Sequence[str], lang: str) -> list[Link]:
    return [Link(topic.label, Site.feed_page_path(lang, slug)) for topic, slug in zip(topics, slugs, strict=True)]


def _archives(months: Sequence[str], slug: str, lang: str, parts: Parts) -> Mapping[str, list[tuple[str, str]]]:
    """A feed's months by year, newest first: what each is called, and its address (RFC 5005)."""
    t, found = parts.texts(lang), dict[str, list[tuple[str, str]]]()
    for month in months:
        found.setdefault(month[:4], []).append(
            (_month_name(month, t), parts.site.archive_path(lang, slug, month, "atom"))
        )
    return found


def _month_name(month: str, t: Translator) -> str:
    """A month's name as it stands by itself, without its year."""
    return str(t.locale.months["stand-alone"]["wide"][int(month[5:])])
