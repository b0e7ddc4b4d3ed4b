"""What feedgen 1.0.0 lacks or gets wrong, mended through its own door, `register_extension`.

Rules, in order:

1. feedgen makes the document; an extension only adds elements, or rewrites those that feedgen writes wrongly
   (an entry's Atom links lose all but their address; RSS categories lose the term).
2. Atom's root is written with a plain `xmlns` attribute, so elements added to Atom carry no namespace of their own.
3. Nothing here reads a clock or makes up a value: what is not given is not written.

Sources: RFC 4287 (Atom), RFC 5005 (archives), RFC 6721 (deleted-entry), Media RSS 1.5.1, RSS 2.0 with the RSS Advisory
Board's profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from feedgen.ext.base import BaseEntryExtension, BaseExtension
from lxml import etree  # type: ignore[import-untyped]  # stubs lag behind it

from feeds.entry import Entry
from syndicator.domain.model import Attachment

__all__ = ["NAMESPACES", "EntryExtension", "FeedExtension", "Link", "Tombstone"]

ATOM = "http://www.w3.org/2005/Atom"
DC = "http://purl.org/dc/elements/1.1/"
MEDIA = "http://search.yahoo.com/mrss/"
TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
XML = "http://www.w3.org/XML/1998/namespace"
HISTORY = "http://purl.org/syndication/history/1.0"
NAMESPACES = {"at": TOMBSTONES, "dc": DC, "fh": HISTORY, "media": MEDIA}

Link = dict[str, str]
Tombstone = tuple[str, datetime, str]
"""An entry's id, when it was withdrawn, and why."""


class FeedExtension(BaseExtension):  # type: ignore[misc]  # feedgen has no types
    """Feed-level links that RSS lacks, tombstones, the mark of an archive. Fill the attributes before rendering."""

    def __init__(self) -> None:
        self.links: Sequence[Link] = ()
        self.tombstones: Sequence[Tombstone] = ()
        self.archive = False

    def extend_ns(self) -> dict[str, str]:
        """The prefixes the document declares, so that spliced fragments need none."""
        return NAMESPACES

    def extend_rss(self, feed: Any) -> Any:
        """Hubs, archives and sibling-language feeds as atom:link; `fh:archive` (RFC 5005 §4)."""
        channel = feed[0]
        if self.archive:
            _add(channel, f"{{{HISTORY}}}archive")
        for link in self.links:
            _add(channel, f"{{{ATOM}}}link", **link)
        return feed

    def extend_atom(self, feed: Any) -> Any:
        """Hubs, archives, sibling-language feeds, and `at:deleted-entry` for what was withdrawn (RFC 6721 §3)."""
        if self.archive:
            _add(feed, f"{{{HISTORY}}}archive")
        for link in self.links:
            _add(feed, "link", **link)
        for ref, when, comment in self.tombstones:
            deleted = _add(feed, f"{{{TOMBSTONES}}}deleted-entry", ref=ref, when=when.isoformat())
            if comment:
                _add(deleted, f"{{{TOMBSTONES}}}comment", comment)
        return feed


class EntryExtension(BaseEntryExtension):  # type: ignore[misc]  # feedgen has no types
    """What an entry needs beyond feedgen. Set `entry` before rendering."""

    entry: Entry

    def extend_rss(self, item: Any) -> Any:
        """dc:creator and dc:language, atom:updated, code and label of each topic, siblings, rights, pictures."""
        entry = self.entry
        _add(item, f"{{{DC}}}creator", entry.author)
        _add(item, f"{{{DC}}}language", entry.lang)
        _add(item, f"{{{ATOM}}}updated", entry.updated.isoformat())
        for category in item.findall("category"):
            item.remove(category)
        for topic in entry.categories:
            _add(item, "category", topic.term, domain=topic.scheme)
            _add(item, "category", topic.label)
        for sibling in entry.siblings:
            _add(item, f"{{{ATOM}}}link", rel="related", type="text/html", hreflang=sibling.lang, href=sibling.url)
        if entry.rights:
            _add(item, f"{{{DC}}}rights", entry.rights)
        _media(item, entry)
        return item

    def extend_atom(self, item: Any) -> Any:
        """The language, whole links, pictures. One alternate only: readers differ on which of several they take."""
        entry = self.entry
        item.set(f"{{{XML}}}lang", entry.lang)
        for link in item.findall("link"):
            item.remove(link)
        _add(item, "link", rel="alternate", type="text/html", hreflang=entry.lang, href=entry.url)
        for sibling in entry.siblings:
            _add(item, "link", rel="related", type="text/html", hreflang=sibling.lang, href=sibling.url)
        if entry.external_url:
            _add(item, "link", rel="via", href=entry.external_url)
        for file in entry.attachments:
            _enclosure(item, file)
        _media(item, entry)
        return item


def _enclosure(item: Any, file: Attachment) -> None:
    link = _add(item, "link", rel="enclosure", type=file.media_type, href=file.url)
    if file.length > 0:
        link.set("length", str(file.length))
    if file.title:
        link.set("title", file.title)


def _media(item: Any, entry: Entry) -> None:
    for picture in entry.attachments:
        if not picture.is_image:
            continue
        content = _add(item, f"{{{MEDIA}}}content", url=picture.url, type=picture.media_type, medium="image")
        if picture.length > 0:
            content.set("fileSize", str(picture.length))
        if picture.title:
            _add(content, f"{{{MEDIA}}}title", picture.title, type="plain")
        if picture.alt:
            _add(content, f"{{{MEDIA}}}description", picture.alt, type="plain")
        if picture.credit:
            _add(content, f"{{{MEDIA}}}credit", picture.credit)


def _add(parent: Any, tag: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element
