"""What an embed holds: the releases of a filter as they may be shown now, each decided as feeds decide it.

Rules, in order:

1. Releases come through `store.releases.listing` alone; a withdrawn one stands in its place for as long as in feeds,
   with its date and reason and nothing of its text.
2. Titles, notes and summaries are the feeds' own (`feeds.entry`), cut to a length that no page breaks under.
3. Pictures are our own only: no embed asks a third party for anything.
4. What was read is kept while nothing in the store has changed, for a minute at most, for a bounded number of embeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from feeds.embed.wanted import MOST, Wanted
from feeds.entry import Entry, entry_of
from feeds.windows import facts_of, shows
from syndicator.domain.model import Attachment, Release, State, Urgency
from syndicator.domain.site import Site
from syndicator.domain.text import excerpt
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.store import releases
from syndicator.store.database import Database

__all__ = ["Item", "Showcase", "item_of"]

KEPT_FOR = timedelta(seconds=60)
KEPT = 256  # embeds, of at most 20 short items each
ROUNDS = 4  # each asks for twice as many as the one before, where old withdrawals take up the room
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


class Showcase:
    """Finds the items of embeds."""

    def __init__(self, database: Database, site: Site, taxonomy: Taxonomy, texts: Texts) -> None:
        self._database, self._site, self._taxonomy, self._texts = database, site, taxonomy, texts
        self._kept: dict[str, tuple[int, datetime, tuple[Item, ...]]] = {}

    async def items(self, wanted: Wanted, now: datetime) -> Sequence[Item]:
        """The newest `limit` releases that the filter takes, newest first."""
        key = Wanted(wanted.filter, wanted.limit).query
        async with self._database.reading() as session:
            change = await releases.last_change(session)
            kept = self._kept.pop(key, None)
            if kept is None or kept[0] != change or not timedelta() <= now - kept[1] < KEPT_FOR:
                kept = (change, now, await self._read(session, wanted, now))
        self._kept[key] = kept
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return kept[2]

    async def _read(self, session: AsyncSession, wanted: Wanted, now: datetime) -> tuple[Item, ...]:
        limit, fit = wanted.limit, list[Release]()
        for _ in range(ROUNDS):
            found = await releases.listing(
                session, wanted.filter, self._taxonomy, lang=wanted.lang, now=now, limit=limit, withdrawn=True
            )
            fit = [release for release in found if shows(facts_of(release), now)]
            if len(fit) >= wanted.limit or len(found) < limit:
                break
            limit = max(2 * limit, MOST)
        items = (self._item(release, wanted) for release in fit[: wanted.limit])
        return tuple(item for item in items if item is not None)

    def _item(self, release: Release, wanted: Wanted) -> Item | None:
        variant = next((found for lang in wanted.filter.langs if (found := release.variant(lang))), None)
        if variant is None:
            return None
        try:
            return item_of(entry_of(release, variant, self._site, self._taxonomy, self._texts), self._site)
        except Exception as error:  # noqa: BLE001  # as in feeds: one bad record must never stop the others
            reason = f"{type(error).__name__}: {error}"
            log.error("release cannot be shown; left out", release=release.number, lang=variant.lang, reason=reason)  # noqa: TRY400  # one line says it
            return None
