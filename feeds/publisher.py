"""The publisher keeps every feed right, on disk and in memory: the ports' `FeedPublisher` and `FeedCatalogue`.

Rules, in order:

1. A refresh reads what changed since the last one, asks only the touched windows anew, renders only entries that are
   new or changed, and writes only feeds whose bytes differ. Nothing changed: nothing is written, no validator moves.
2. Files first, then the manifest, then memory in one step: a reader sees the old feeds or the new ones. Where the
   disk takes nothing more, memory goes on without it, for a withdrawal must not wait for room; feeds that hold what
   nobody may read any more are taken off the disk, so that other servers ask this one; and the refresh is done again.
3. After a restart the feeds on disk are served as they are if the manifest vouches for them: same renderer, site,
   topics and settings, same bytes. What does not match is built again.
4. Where nothing was ever built, each language's feed of everything comes first, and is served before the others are.
5. One refresh at a time; rendering and writing happen in a thread, off the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import structlog

from feeds import files
from feeds.composer import NOTHING_BUILT, Composer, Edition, Piece, names_of
from feeds.files import Manifest, Stored
from feeds.shelf import Shelf, StoreShelf
from feeds.streams import ALL, Logo, Stream
from feeds.windows import Plan, no_longer, plan, touched
from syndicator.domain.model import Release
from syndicator.domain.ports import Clock, FeedLinks
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.database import Database

__all__ = ["Publisher"]

MANY = 1000
"""So many changes at once, and every window is asked anew."""

log = structlog.get_logger()


class _Terms(TypedDict):
    site: Site
    taxonomy: Taxonomy
    entries: int
    now: datetime


class Publisher:
    """Every feed of the site.

    `entries` is a window's size, `max_age` is in seconds, `hubs` are named in every feed. `directory` is made if
    missing. `refreshed` is called after feeds have moved on, for whoever follows them.
    """

    def __init__(
        self,
        database: Database | Shelf,
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        directory: Path,
        entries: int,
        max_age: int,
        hubs: tuple[str, ...] = (),
        metrics: Metrics,
        clock: Clock,
        logo: Logo | None = None,
        pictures: Mapping[str, bytes] | None = None,
        refreshed: Callable[[], None] = lambda: None,
    ) -> None:
        self.max_age = max_age
        self.site = site
        self._shelf: Shelf = StoreShelf(database) if isinstance(database, Database) else database
        self._taxonomy = taxonomy
        self.composer = Composer(site, taxonomy, texts, entries, max_age, hubs, logo, pictures)
        self._first = tuple(stream for stream in self.composer.streams if stream.topic == ALL)
        self._directory, self._entries = directory, entries
        self._metrics, self.clock = metrics, clock
        self._refreshed = refreshed
        self._state: Edition | None = None
        self._checked: datetime | None = None
        self._unwritten: OSError | None = None  # why the files are behind what is served
        self._refreshing = asyncio.Lock()
        self._disk = threading.Lock()  # a cancelled refresh leaves its thread writing; the next one waits for it

    # -- the catalogue
    def links(self, lang: str) -> Sequence[FeedLinks]:
        """Every stream of that language, `all` first, then topics in the order of the topic file."""
        return [found for stream, found in self.composer.links.items() if stream.lang == lang]

    def link(self, lang: str, topic: str) -> FeedLinks | None:
        """One stream."""
        return self.composer.links.get(Stream(lang, topic))

    # -- what is served
    def knows(self, name: str) -> bool:
        """Whether there is such a feed, built or not; names are `az/all.rss`, `az.opml`, `topics.json`."""
        if name in self.composer.lists:
            return True
        path, _, fmt = name.rpartition(".")
        lang, _, topic = path.partition("/")
        return fmt in FEED_FORMATS and Stream(lang, topic) in self.composer.links

    def find(self, name: str) -> Stored | None:
        """The feed as it stands; None where there is none, or not yet."""
        return self._state.served.get(name) if self._state is not None else None

    def etags(self) -> Mapping[str, str]:
        """The validators of everything that is served, by name; for who tells others of a change."""
        return {name: stored.etag for name, stored in self._state.served.items()} if self._state is not None else {}

    def piece(self, lang: str, number: int) -> Piece | None:
        """An entry as the live feeds hold it, if they do; for archives, which need not render it again."""
        return self._state.pieces.get((lang, number)) if self._state is not None else None

    @property
    def built(self) -> int:
        """Up to which change of the store the feeds stand; -1 before the first refresh."""
        return self._state.built if self._state is not None else NOTHING_BUILT

    # -- the publisher
    def newest(self) -> datetime | None:
        """When feeds were last checked against the store."""
        return self._checked

    async def stale(self) -> bool:
        """Whether a release has changed since the last refresh, time alone has changed what may be shown, or files lag.

        Where nothing is to do, that is a check against the store like any other: `newest` moves on.
        """
        state, now = self._state, self.clock()
        if state is None or self._checked is None or self._unwritten is not None:
            return True
        async with self._shelf.open() as view:
            if await view.last_change() != state.built or state.due(now):
                return True
        if not self._refreshing.locked():  # what a refresh is at work on is told when it is done
            self._checked = now
        return False

    async def refresh(self, now: datetime) -> int:
        """Bring every feed up to the store's state at `now`; returns how many feeds were written.

        Raises:
            OSError: the store cannot be read, and what is served stays as it was; or the folder cannot be written, and
                what is served has moved on without its files.
        """
        async with self._refreshing:
            if self._state is None:
                self._state = await asyncio.to_thread(self._restore)  # served at once, even if the store cannot be read
            written = 0
            if self._state.built == NOTHING_BUILT and (first := self._missing(self._first)):
                written += await self._advance(*await self._look_at(first, now), now)
            found = await self._look(self._state, now)
            self._unwritten = None
            if found is not None:
                written += await self._advance(*found, now)
            unwritten = self._unwritten
            if unwritten is None:
                self._checked = now
        if found is not None:
            self._refreshed()
        if unwritten is not None:
            raise unwritten
        return written

    # -- steps of a refresh
    async def _advance(self, found: Plan, built: int, now: datetime) -> int:
        """Write what the plan makes other, and serve it, written or not."""
        before = self._state or Edition()
        self._state, written, self._unwritten = await asyncio.to_thread(self._rebuild, before, found, built, now)
        self._metrics.feeds_written.inc(written)
        if written:
            log.info("feeds written", count=written, change=built)
        return written

    def _missing(self, streams: Iterable[Stream]) -> set[Stream]:
        state = self._state or Edition()
        return {stream for stream in streams if not all(map(state.stands, names_of(stream)))}

    async def _look_at(self, streams: Iterable[Stream], now: datetime) -> tuple[Plan, int]:
        """What these streams need, where nothing was ever built; that does not count as built up to any change."""
        async with self._shelf.open() as view:
            found = await plan(view, streams, {}, held={}, facts={}, **self._terms(now))
        return found, NOTHING_BUILT

    def _terms(self, now: datetime) -> _Terms:
        return {"site": self.site, "taxonomy": self._taxonomy, "entries": self._entries, "now": now}

    def _restore(self) -> Edition:
        """What the last process left, as far as it can be believed."""
        manifest = files.read_manifest(self._directory)
        if manifest is None:  # readers may know what stood there: its dates never go back
            known = [name for stream in self.composer.streams for name in names_of(stream)]
            return Edition(kept=files.remains(self._directory, [*known, *self.composer.lists]))
        if manifest.settings != self.composer.settings:
            log.info("feed settings changed; every feed is built again")
            return Edition(kept=manifest.files)
        served = {}
        for name, kept in manifest.files.items():
            stored = files.load(self._directory, name, kept)
            if stored is None:
                log.warning("feed file is missing or damaged; it is built again", file=name)
            else:
                served[name] = stored
        return Edition(manifest.built, manifest.windows, manifest.revisit, served, manifest.files)

    async def _look(self, state: Edition, now: datetime) -> tuple[Plan, int] | None:
        """What must be built, and up to which change; None where everything stands as it should."""
        broken = self._missing(self.composer.streams)
        lists = not all(map(state.stands, self.composer.lists))
        due = state.due(now)
        async with self._shelf.open() as view:
            last = await view.last_change()
            if last == state.built and not (due or broken or lists):
                return None
            changed = await view.changed_since(state.built, MANY) if NOTHING_BUILT < state.built < last else ()
            everything = state.built == NOTHING_BUILT or last < state.built or len(changed) >= MANY
            moved = {} if everything else {release.number: release for release in changed}
            moved.update(await view.many([number for number in due if number not in moved]))
            found = await plan(
                view,
                self.composer.streams if everything else broken | self._touched(moved, state),
                moved,
                held={} if everything else state.windows,
                facts={} if everything else state.facts,
                **self._terms(now),
            )
            found.anew = everything
            wanted = {n for s, w in found.windows.items() for n in w if (s.lang, n) not in state.pieces}
            found.releases.update(await view.many(sorted(wanted - found.releases.keys())))
        return found, last

    def _touched(self, moved: Mapping[int, Release], state: Edition) -> set[Stream]:
        return touched(moved.values(), state.windows, self.site, self._taxonomy) & self.composer.links.keys()

    def _rebuild(self, before: Edition, found: Plan, built: int, now: datetime) -> tuple[Edition, int, OSError | None]:
        """Compose the next edition and write what is other in it; how many files were written, or why they lag."""
        with self._disk:
            after, changed = self.composer.compose(before, found, built, now)
            try:
                self._write(before, after, changed)
            except OSError as error:
                log.error("feed files lag behind what is served", count=len(changed), reason=str(error))  # noqa: TRY400  # one line says it
                self._take_away(no_longer(before.windows, found), changed)
                return replace(after, built=before.built, kept=before.kept), 0, error
        return after, len(changed), None

    def _write(self, before: Edition, after: Edition, changed: Mapping[str, Stored]) -> None:
        files.save(self._directory, changed)
        files.remove(self._directory, before.kept.keys() - after.served.keys())
        vouched = Manifest(
            self.composer.settings, after.built, dict(after.kept), dict(after.windows), dict(after.revisit)
        )
        files.write_manifest(self._directory, vouched)

    def _take_away(self, streams: Iterable[Stream], changed: Mapping[str, Stored]) -> None:
        """Off the disk with what nobody may read any more; whoever serves the folder then asks this service."""
        names = [name for stream in streams for name in names_of(stream) if name in changed]
        try:
            files.remove(self._directory, names)
        except OSError as error:
            log.error("feeds with a withdrawn text stay on the disk", count=len(names), reason=str(error))  # noqa: TRY400  # one line says it
