"""From entries to bytes: RSS 2.0 and Atom by feedgen, JSON Feed beside them. Pure: nothing is read, nothing is kept.

Rules, in order:

1. Each entry is rendered once, alone, into one fragment a format; feeds are made by splicing fragments into a shell
   that feedgen made without entries. The result equals what feedgen gives for the whole feed.
2. A feed's `updated`/`lastBuildDate` is its newest entry's, never the clock's; an empty feed has a fixed date.
3. In RSS titles `&` and `<` are hexadecimal references, which readers take for text and never for markup
   (RSS Advisory Board's profile, "Character Data").
4. An entry that cannot be rendered raises; the caller leaves it out and the feed still ships.
5. feedgen changes the process's locale for each RFC 822 date, so one thread renders at a time.

`RENDERER` goes up whenever equal entries would come out as other bytes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from feedgen.feed import FeedGenerator

from feeds import jsonfeed
from feeds.entry import Entry
from feeds.extension import EntryExtension, FeedExtension, Link, Tombstone
from feeds.streams import Addresses, Channel, Logo

__all__ = ["CONTENT_TYPES", "RENDERER", "UNDATED", "Fragment", "cut", "fragment_of", "render"]

RENDERER = 4
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""The date of a feed that holds nothing; older than any release, so that its first one moves it on."""

MEDIA_TYPES = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}
CONTENT_TYPES = {fmt: f"{kind}; charset=utf-8" for fmt, kind in MEDIA_TYPES.items()}

_ENDS = {"rss": b"</channel></rss>", "atom": b"</feed>", "json": jsonfeed.CLOSE}
_RENDERING = threading.Lock()
_RSS_TITLE = re.compile(rb"<title>[^<]*</title>")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One entry in all formats, and what its feeds must know of it."""

    uid: str
    updated: datetime
    rights: str
    tombstone: Tombstone | None
    rss: bytes
    atom: bytes
    json: bytes


def fragment_of(entry: Entry) -> Fragment:
    """Render one entry alone.

    Raises:
        Exception: whatever feedgen or lxml makes of an entry they cannot write; nothing else is touched.
    """
    with _RENDERING:
        generator = _shell_generator("x", "x", "x", "en", entry.updated)
        generator.link(href="x", rel="alternate")
        _add_entry(generator, entry)
        rss = _cut(_hex_titles(generator.rss_str()), b"<item>", b"</channel>")
        atom = _cut(generator.atom_str(), b"<entry", b"</feed>")
    tombstone = (entry.uid, entry.withdrawn_at, entry.reason) if entry.withdrawn_at else None
    return Fragment(entry.uid, entry.updated, entry.rights, tombstone, rss, atom, jsonfeed.item(entry))


def render(fmt: str, channel: Channel, fragments: Sequence[Fragment], max_age: int, hubs: Sequence[str] = ()) -> bytes:
    """One feed. `fragments` come newest first; `max_age` is in seconds and becomes `ttl` in minutes, at least 1."""
    if fmt == "json":
        return jsonfeed.splice(jsonfeed.shell(channel, hubs), [f.json for f in fragments])
    with _RENDERING:
        generator = _feed_generator(fmt, channel, fragments, max_age, hubs)
        if fmt == "rss":
            return _splice(_hex_titles(generator.rss_str()), [f.rss for f in fragments], _ENDS[fmt])
        return _splice(generator.atom_str(), [f.atom for f in fragments], _ENDS[fmt])


def cut(fmt: str, document: bytes, lengths: Sequence[int]) -> list[bytes]:
    """The entries that were spliced into a feed, by their lengths in bytes: what undoes `render`."""
    between = len(jsonfeed.BETWEEN) if fmt == "json" else 0
    start = len(document) - len(_ENDS[fmt]) - sum(lengths) - between * max(0, len(lengths) - 1)
    found = []
    for length in lengths:
        found.append(document[start : start + length])
        start += length + between
    return found


def _feed_generator(
    fmt: str, channel: Channel, fragments: Sequence[Fragment], max_age: int, hubs: Sequence[str]
) -> Any:
    updated = max((f.updated for f in fragments), default=UNDATED)
    generator = _shell_generator(channel.uid, channel.title, channel.description, channel.lang, updated)
    generator.link(href=channel.addresses[fmt], rel="self", type=MEDIA_TYPES[fmt])
    # feedgen takes the last link's address for RSS's <link>, so the page comes last
    generator.link(href=channel.page, rel="alternate", type="text/html", hreflang=channel.lang)
    generator.author({"name": channel.author, "uri": channel.home})
    generator.ttl(max(1, max_age // 60))
    if rights := next((f.rights for f in fragments if f.rights), ""):
        generator.rights(rights)
    if channel.logo is not None:
        _add_logo(fmt, generator, channel, channel.logo)
    generator.mended.archive = bool(channel.current)
    generator.mended.links = [*({"rel": "hub", "href": hub} for hub in hubs), *_links(channel, fmt)]
    generator.mended.tombstones = [f.tombstone for f in fragments if f.tombstone]
    return generator


def _links(channel: Channel, fmt: str) -> Iterator[Link]:
    """The neighbours in time (RFC 5005 §4), then those in other languages.

    In Atom these are "related": newsboat takes the last alternate of a feed for its page. RSS has a `<link>` for that.
    """
    neighbours: dict[str, Addresses] = {
        "current": channel.current,
        "prev-archive": channel.older,
        "next-archive": channel.newer,
    }
    for relation, addresses in neighbours.items():
        if fmt in addresses:
            yield {"rel": relation, "type": MEDIA_TYPES[fmt], "href": addresses[fmt]}
    for other in channel.siblings:
        yield {
            "rel": "related" if fmt == "atom" else "alternate",
            "type": MEDIA_TYPES[fmt],
            "hreflang": other.lang,
            "href": other.addresses[fmt],
        }


def _add_logo(fmt: str, generator: Any, channel: Channel, logo: Logo) -> None:
    """RSS's image says title and link of the channel (RSS 2.0); Atom has a wide logo and a square icon (RFC 4287)."""
    if fmt == "atom":  # in RSS, feedgen would make an image of any logo
        if logo.logo:
            generator.logo(logo.logo)
        if logo.icon:
            generator.icon(logo.icon)
    elif logo.logo and logo.size is not None:
        width, height = map(str, logo.size)
        generator.image(logo.logo, title=channel.title, link=channel.page, width=width, height=height)


def _shell_generator(uid: str, title: str, description: str, lang: str, updated: datetime) -> Any:
    generator = FeedGenerator()
    generator.register_extension("mended", FeedExtension, EntryExtension)
    generator.generator("Syndicator")
    generator.id(uid)
    generator.title(title)
    generator.description(description)
    generator.language(lang)
    generator.updated(updated)
    return generator


def _add_entry(generator: Any, entry: Entry) -> None:
    item = generator.add_entry(order="append")
    item.guid(entry.uid, permalink=False)
    item.title(entry.title)
    item.link(href=entry.url)
    if entry.summary:
        # readers take an RSS description for HTML, so there the plain text is escaped once more; Atom says "text".
        # In this order: a later summary() would take the description's place, a later description() the content's.
        item.summary(entry.summary, type="text")
        item.description(escape(entry.summary, quote=False))
    item.content(entry.content, type="html")
    item.author({"name": entry.author, "uri": entry.home})
    for topic in entry.categories:
        item.category(term=topic.term, scheme=topic.scheme, label=topic.label)
    item.published(entry.published)
    item.updated(entry.updated)
    if entry.rights:
        item.rights(entry.rights)
    if (file := entry.enclosure) is not None:
        item.enclosure(file.url, str(file.length), file.media_type)
    item.mended.entry = entry


def _hex_titles(document: bytes) -> bytes:
    return _RSS_TITLE.sub(lambda found: found[0].replace(b"&amp;", b"&#x26;").replace(b"&lt;", b"&#x3C;"), document)


def _cut(document: bytes, start: bytes, end: bytes) -> bytes:
    return document[document.index(start) : document.rindex(end)]


def _splice(shell: bytes, fragments: Sequence[bytes], end: bytes) -> bytes:
    head = shell[: shell.rindex(end)]
    return b"".join((head, *fragments, end))
