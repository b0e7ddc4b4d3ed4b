"""Streams: which feeds there are, what each is called, and which releases belong to it.

Rules, in order:

1. There is one stream for every language × (`all` + each topic of the taxonomy), in the site's and the file's order.
2. A topic's stream holds the releases of that topic and of every topic below it.
3. A stream in language L holds language versions in L, nothing else.
4. A filter that takes just what a stream holds is that stream; every other one is a custom feed.
5. A stream's id and addresses come from `domain.site`; its words from the catalogues and the topic file. The id goes by
   the topic's first slug, so that it outlives every change of name; addresses go by today's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from syndicator.domain.filters import Filter, canonical
from syndicator.domain.ports import FeedLinks
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.text import strip_illegal
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.wording import filter_in_words

__all__ = [
    "ALL",
    "CUSTOM",
    "Channel",
    "Logo",
    "Stream",
    "Translation",
    "addresses_of",
    "custom_links",
    "custom_title",
    "describe",
    "equal_stream",
    "links",
    "streams",
    "touched_by",
]

ALL = "all"
CUSTOM = "custom"


@dataclass(frozen=True, slots=True, order=True)
class Stream:
    """One feed, whatever its format: a language and a topic's slug, or `all`."""

    lang: str
    topic: str


Addresses = Mapping[str, str]
"""A feed's absolute addresses, by format."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The same feed in another language."""

    lang: str
    addresses: Addresses


@dataclass(frozen=True, slots=True)
class Logo:
    """The office's pictures, as absolute addresses: `logo` is wide, `icon` square; one may be missing ("").

    `size` is the logo's width and height in pixels where RSS may show it (RSS 2.0: at most 144 by 400), else None.
    """

    logo: str = ""
    icon: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """What a feed says of itself, whoever made it: a stream, a month of one, or a feed of any filter.

    `addresses` are its own. `topic` is a slug, `all`, or "" where the feed has none. `older` is the archive before it
    (RFC 5005 §4). A feed with `current`, the live feed, is an archive itself; `newer` is the archive after it.
    """

    uid: str
    lang: str
    title: str
    description: str
    page: str
    author: str
    home: str
    addresses: Addresses
    topic: str = ""
    siblings: tuple[Translation, ...] = ()
    logo: Logo | None = None
    current: Addresses = field(default_factory=dict)
    older: Addresses = field(default_factory=dict)
    newer: Addresses = field(default_factory=dict)


def streams(site: Site, taxonomy: Taxonomy) -> tuple[Stream, ...]:
    """Every stream there is."""
    return tuple(Stream(lang, topic) for lang in site.languages for topic in (ALL, *taxonomy.slugs))


def topics_of(stream: Stream, taxonomy: Taxonomy) -> tuple[str, ...] | None:
    """The slugs whose releases the stream holds; None: all of them."""
    return None if stream.topic == ALL else tuple(sorted(taxonomy.descendants(stream.topic)))


def touched_by(langs: Iterable[str], topics: Iterable[str], site: Site, taxonomy: Taxonomy) -> Iterator[Stream]:
    """The streams that a release with these languages and topics belongs to."""
    wanted = taxonomy.closure(topics)
    slugs = [ALL, *(slug for slug in taxonomy.slugs if slug in wanted)]
    return (Stream(lang, slug) for lang in langs if lang in site.languages for slug in slugs)


def describe(stream: Stream, site: Site, taxonomy: Taxonomy, texts: Texts, logo: Logo | None = None) -> Channel:
    """The stream in its own language."""
    lang, say = stream.lang, texts(stream.lang)
    office = strip_illegal(site.name(lang))
    topic = taxonomy.get(stream.topic)
    if topic is None:
        title, page = office, site.home(lang)
        description = say("Releases of {office}", office=office)
    else:
        name = strip_illegal(topic.name(lang))
        title, page = f"{name} – {office}", site.topic(lang, topic.slug)
        description = say("Releases of {office} on: {topic}", office=office, topic=name)
    others = (Stream(other, stream.topic) for other in site.languages if other != lang)
    return Channel(
        uid=site.feed_uid(lang, taxonomy.original(stream.topic)),
        lang=lang,
        title=title,
        description=description,
        page=page,
        author=office,
        home=site.home(lang),
        addresses=addresses_of(stream, site),
        topic=stream.topic,
        siblings=tuple(Translation(other.lang, addresses_of(other, site)) for other in others),
        logo=logo,
    )


def addresses_of(stream: Stream, site: Site) -> dict[str, str]:
    """Where the live feed stands, by format."""
    return {fmt: site.feed(stream.lang, stream.topic, fmt) for fmt in FEED_FORMATS}


def links(stream: Stream, site: Site, taxonomy: Taxonomy, texts: Texts) -> FeedLinks:
    """The stream's three addresses, for pages."""
    title = describe(stream, site, taxonomy, texts).title
    rss, atom, json = (site.feed(stream.lang, stream.topic, fmt) for fmt in ("rss", "atom", "json"))
    opml = site.custom_feed(canonical(_filter_of(stream)), "opml")
    return FeedLinks(stream.lang, stream.topic, title, rss, atom, json, opml)


def equal_stream(wanted: Filter, site: Site, taxonomy: Taxonomy) -> Stream | None:
    """The stream that holds exactly what this filter takes, if there is one."""
    lang, topic = wanted.langs[:1], wanted.topics[:1] or (ALL,)
    stream = Stream(*lang, *topic) if lang else None
    if stream is None or _filter_of(stream) != wanted or stream.lang not in site.languages:
        return None
    return stream if stream.topic == ALL or taxonomy.get(stream.topic) else None


def custom_links(wanted: Filter, lang: str, site: Site, taxonomy: Taxonomy, texts: Texts) -> FeedLinks:
    """The addresses of a filter's feed, titled in `lang`, which is also its language if the filter names none."""
    wanted = wanted if wanted.langs else replace(wanted, langs=(lang,))
    stream = equal_stream(wanted, site, taxonomy)
    if stream is not None:
        return links(stream, site, taxonomy, texts)
    query = canonical(wanted)
    rss, atom, json, opml = (site.custom_feed(query, fmt) for fmt in ("rss", "atom", "json", "opml"))
    title = custom_title(wanted, lang, site, taxonomy, texts)
    return FeedLinks(lang, CUSTOM, title, rss, atom, json, opml)


def custom_title(wanted: Filter, lang: str, site: Site, taxonomy: Taxonomy, texts: Texts) -> str:
    """What a custom feed is called in that language: the filter in words, and the office."""
    said = replace(wanted, langs=()) if len(wanted.langs) == 1 else wanted
    return strip_illegal(f"{filter_in_words(said, taxonomy, texts(lang))} – {site.name(lang)}")


def _filter_of(stream: Stream) -> Filter:
    return Filter(langs=(stream.lang,), topics=() if stream.topic == ALL else (stream.topic,))
