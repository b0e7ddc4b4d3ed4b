"""What an embed holds: the releases of a filter as they may be shown now, each decided as feeds decide it.

Rules, in order:

1. Releases come from the library of custom feeds alone: what a filter's feed holds, its embed shows. A withdrawn one
   stands in its place as long as there, with date and reason. Its marked title and its address stay, so that people
   know which one is meant; nothing else of its text does. (A page of ours, oEmbed and the API, which are asked for one
   release by its number, do not name it: who asks has it before them.)
2. Titles, notes and summaries are the feeds' own (`feeds.entry`), cut to a length that no page breaks under.
3. Pictures are our own only: no embed asks a third party for anything.
4. What was read is kept while the store stands still and time changes nothing of it, for a bounded number of embeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from feeds.custom_cache import Cache
from feeds.custom_library import Library, Window
from feeds.embed.wanted import Wanted
from feeds.entry import Entry, entry_of
from syndicator.domain.model import Attachment, Release, State, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import excerpt
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["Item", "Showcase", "Shown", "item_of"]

KEPT, KEPT_SIZE = 512, 8_000_000  # embeds, and the bytes that they may take
ITEM_SIZE = 2_000  # bytes that an item takes, roughly
TITLE, NOTE, SUMMARY = 300, 1000, 600  # characters

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Item:
    """A release in an embed; plain text throughout. `noted` is when a correction was made."""

    href: str
    lang: str
    title: str
    published: datetime
    summary: str
    urgent: bool = False
    note: str = ""
    noted: datetime | None = None
    withdrawn: bool = False
    picture: Attachment | None = None


def item_of(entry: Entry, site: Site) -> Item:
    """An entry of our feeds as an embed shows it."""
    withdrawn = entry.state == State.WITHDRAWN
    picture = entry.image
    return Item(
        href=entry.url,
        lang=entry.lang,
        title=excerpt(entry.title, TITLE),
        published=entry.published,
        summary=excerpt(entry.summary, SUMMARY),
        urgent=entry.urgency == Urgency.URGENT and not withdrawn,
        note=excerpt(entry.note, NOTE),
        noted=entry.updated if entry.note else None,
        withdrawn=withdrawn,
        picture=picture if picture and picture.url.startswith(f"{site.base_url}/media/") else None,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What an embed shows, for as long as `window` stands (it holds no releases any more)."""

    items: tuple[Item, ...]
    window: Window


class Showcase:
    """Finds the items of embeds in the library of custom feeds."""

    def __init__(self, library: Library, site: Site, taxonomy: Taxonomy, texts: Texts) -> None:
        self._library, self._site, self._taxonomy, self._texts = library, site, taxonomy, texts
        self._kept: Cache[str, Shown] = Cache(KEPT, KEPT_SIZE)

    async def shown(self, wanted: Wanted, now: datetime) -> Shown:
        """The newest `limit` releases that the filter takes, newest first; the same object while it is true.

        Raises:
            OSError: the store cannot be read, and it is not kept from before.
        """
        key = _key(wanted)
        kept = self._kept.get(key)
        try:
            change = await self._library.last_change()
        except OSError:
            if kept is not None:  # as feeds go on while the database is away
                return kept
            raise
        kept = self._kept.get(key)
        if kept is None or not kept.window.stands(change, now):
            window = await self._library.window(wanted.filter, wanted.limit, now)
            items = (self._item(*one) for one in window.held)
            kept = Shown(tuple(item for item in items if item is not None), replace(window, held=()))
            self._kept.put(key, kept, ITEM_SIZE * (1 + len(kept.items)))
        return kept

    async def items(self, wanted: Wanted, now: datetime) -> Sequence[Item]:
        """What `shown` has."""
        return (await self.shown(wanted, now)).items

    def holds(self, wanted: Wanted) -> bool:
        """Whether it is kept, so that asking for it costs little."""
        return _key(wanted) in self._kept

    def _item(self, release: Release, variant: Variant) -> Item | None:
        try:
            return item_of(entry_of(release, variant, self._site, self._taxonomy, self._texts), self._site)
        except Exception as error:  # noqa: BLE001  # as in feeds: one bad record must never stop the others
            reason = f"{type(error).__name__}: {error}"
            log.error("release cannot be shown; left out", release=release.number, lang=variant.lang, reason=reason)  # noqa: TRY400  # one line says it
            return None


def _key(wanted: Wanted) -> str:
    return Wanted(wanted.filter, wanted.limit).query
