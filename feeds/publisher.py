"""The publisher keeps every feed right, on disk and in memory: the ports' `FeedPublisher` and `FeedCatalogue`.

Rules, in order:

1. A refresh reads what changed since the last one, asks only the touched windows anew, renders only entries that are
   new or changed, and writes only feeds whose bytes differ. Nothing changed: nothing is written, no validator moves.
2. Files first, then the manifest, then memory in one step: a reader sees the old feeds or the new ones, and a refresh
   that fails leaves both as they were and is simply done again.
3. After a restart the feeds on disk are served as they are if the manifest vouches for them: same renderer, site,
   topics and settings, same bytes. What does not match is built again.
4. An entry that cannot be rendered is logged by its number, once, and left out; its feed still ships.
5. One refresh at a time; rendering and writing happen in a thread, off the event loop.
6. Last-Modified is the newest entry's change; where a feed changed otherwise (an entry left it), it is the time of the
   refresh, so that a reader who only compares dates is never left behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import feedgen.version
import structlog

from feeds import build, files, opml
from feeds.entry import entry_key, entry_of, moment
from feeds.files import Kept, Manifest, Stored
from feeds.shelf import Shelf, StoreShelf
from feeds.streams import ALL, Channel, Stream, describe, links, streams
from feeds.windows import Facts, Plan, plan, touched
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

NOTHING_BUILT = -1

log = structlog.get_logger()

Piece = tuple[Hashable, build.Fragment | None]
"""A fragment and the key it was rendered for; None in the place of one that cannot be rendered."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """All that is known between two refreshes; replaced whole, never changed."""

    built: int = NOTHING_BUILT
    windows: Mapping[Stream, tuple[int, ...]] = field(default_factory=dict)
    revisit: Mapping[int, datetime] = field(default_factory=dict)
    served: Mapping[str, Stored] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    facts: Mapping[int, Facts] = field(default_factory=dict)
    pieces: Mapping[tuple[str, int], Piece] = field(default_factory=dict)


class Publisher:
    """Every feed of the site. `entries` is a window's size, `max_age` is in seconds; `directory` is made if missing."""

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
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.max_age = max_age
        self.site = site
        self._shelf: Shelf = StoreShelf(database) if isinstance(database, Database) else database
        self._taxonomy, self._texts = taxonomy, texts
        self._directory, self._entries = directory, entries
        self._metrics, self._clock = metrics, clock
        self._streams = streams(site, taxonomy)
        self._links = {stream: links(stream, site, taxonomy, texts) for stream in self._streams}
        self._channels = {stream: describe(stream, site, taxonomy, texts) for stream in self._streams}
        self._settings = _settings_digest(self._channels.values(), site, taxonomy, texts, entries, max_age)
        self._state: Shelved | None = None
        self._checked: datetime | None = None
        self._refreshing = asyncio.Lock()
        self._disk = threading.Lock()  # a cancelled refresh leaves its thread writing; the next one waits for it

    # -- the catalogue
    def links(self, lang: str) -> Sequence[FeedLinks]:
        """Every stream of that language, `all` first, then topics in the order of the topic file."""
        return [found for stream, found in self._links.items() if stream.lang == lang]

    def link(self, lang: str, topic: str) -> FeedLinks | None:
        """One stream."""
        return self._links.get(Stream(lang, topic))

    # -- what is served
    def knows(self, name: str) -> bool:
        """Whether there is such a feed, built or not; names are `az/all.rss`, `az.opml`."""
        path, _, fmt = name.rpartition(".")
        lang, _, topic = path.partition("/")
        if fmt == "opml":
            return path in self.site.languages
        return fmt in FEED_FORMATS and Stream(lang, topic) in self._links

    def find(self, name: str) -> Stored | None:
        """The feed as it stands; None where there is none, or not yet."""
        return self._state.served.get(name) if self._state is not None else None

    # -- the publisher
    def newest(self) -> datetime | None:
        """When feeds were last checked against the store."""
        return self._checked

    async def stale(self) -> bool:
        """Whether a release has changed since the last refresh, or time alone has changed what may be shown."""
        state = self._state
        if state is None:
            return True
        async with self._shelf.open() as view:
            return await view.last_change() != state.built or bool(_due(state, self._clock()))

    async def refresh(self, now: datetime) -> int:
        """Bring every feed up to the store's state at `now`; returns how many feeds were written.

        Raises:
            OSError: the store cannot be read or the folder cannot be written; what is served stays as it was.
        """
        async with self._refreshing:
            before = self._state if self._state is not None else await asyncio.to_thread(self._restore)
            found = await self._look(before, now)
            if found is None:
                self._state, self._checked = before, now
                return 0
            after, written = await asyncio.to_thread(self._rebuild, before, *found, now)
            self._state, self._checked = after, now
        self._metrics.feeds_written.inc(written)
        if written:
            log.info("feeds written", count=written, change=after.built)
        return written

    # -- steps of a refresh
    def _restore(self) -> Shelved:
        """What the last process left, as far as it can be believed."""
        manifest = files.read_manifest(self._directory)
        if manifest is None:
            return Shelved()
        if manifest.settings != self._settings:
            log.info("feed settings changed; every feed is built again")
            return Shelved(kept=manifest.files)
        served = {}
        for name, kept in manifest.files.items():
            stored = files.load(self._directory, name, kept)
            if stored is None:
                log.warning("feed file is missing or damaged; it is built again", file=name)
            else:
                served[name] = stored
        return Shelved(manifest.built, manifest.windows, manifest.revisit, served, manifest.files)

    async def _look(self, state: Shelved, now: datetime) -> tuple[Plan, int] | None:
        """What must be built, and up to which change; None where everything stands as it should."""
        broken = {stream for stream in self._streams if any(n not in state.served for n in _names(stream))}
        lists = any(_list_name(lang) not in state.served for lang in self.site.languages)
        due = _due(state, now)
        async with self._shelf.open() as view:
            last = await view.last_change()
            if last == state.built and not (due or broken or lists):
                return None
            changed = await view.changed_since(state.built, MANY) if NOTHING_BUILT < state.built < last else ()
            everything = state.built == NOTHING_BUILT or last < state.built or len(changed) >= MANY
            moved = {} if everything else {release.number: release for release in changed}
            moved.update(await view.many([number for number in due if number not in moved]))
            streams_ = self._streams if everything else broken | self._touched(moved, state)
            found = await plan(
                view,
                streams_,
                moved,
                held={} if everything else state.windows,
                facts={} if everything else state.facts,
                site=self.site,
                taxonomy=self._taxonomy,
                entries=self._entries,
                now=now,
            )
            wanted = {n for s, w in found.windows.items() for n in w if (s.lang, n) not in state.pieces}
            found.releases.update(await view.many(sorted(wanted - found.releases.keys())))
        return found, last

    def _touched(self, moved: Mapping[int, Release], state: Shelved) -> set[Stream]:
        return touched(moved.values(), state.windows, self.site, self._taxonomy) & self._links.keys()

    def _rebuild(self, state: Shelved, found: Plan, last: int, now: datetime) -> tuple[Shelved, int]:
        """Render, write, and give the state that then holds."""
        with self._disk:
            windows = {s: w for s, w in {**state.windows, **found.windows}.items() if s in self._links}
            pieces, fresh = self._render_entries(state, found, windows)
            changed = self._render_feeds(state, found, pieces, fresh, now)
            served = {**state.served, **changed}
            files.save(self._directory, changed)
            files.remove(self._directory, state.kept.keys() - served.keys())
            kept = {name: state.kept[name] for name in served.keys() & state.kept.keys()}
            kept.update((name, files.kept_of(stored)) for name, stored in changed.items())
            settled = found.facts.keys() | set(_due(state, now))
            revisit = {n: when for n, when in state.revisit.items() if n not in settled} | found.revisit
            files.write_manifest(self._directory, Manifest(self._settings, last, kept, windows, revisit))
        held = {number for window in windows.values() for number in window}
        facts = {number: one for number, one in {**state.facts, **found.facts}.items() if number in held}
        return Shelved(last, windows, revisit, served, kept, facts, pieces), len(changed)

    def _render_entries(
        self, state: Shelved, found: Plan, windows: Mapping[Stream, tuple[int, ...]]
    ) -> tuple[dict[tuple[str, int], Piece], set[tuple[str, int]]]:
        """The fragments of all windows, and which of them are other than before."""
        pieces: dict[tuple[str, int], Piece] = {}
        fresh = set()
        for place in {(stream.lang, number) for stream, window in windows.items() for number in window}:
            before = state.pieces.get(place)
            release = found.releases.get(place[1])
            if release is None:
                if before is not None:
                    pieces[place] = before
                continue
            piece = self._render_entry(release, place[0], before)
            if piece is not before:
                fresh.add(place)
            pieces[place] = piece
        return pieces, fresh

    def _render_entry(self, release: Release, lang: str, before: Piece | None) -> Piece:
        variant = release.variant(lang)
        if variant is None:
            return None, None
        key = entry_key(release, variant)
        if before is not None and before[0] == key:
            return before
        try:
            entry = entry_of(release, variant, self.site, self._taxonomy, self._texts)
            return key, build.fragment_of(entry)
        except Exception as error:  # noqa: BLE001  # one bad record must never stop a feed, whatever is wrong with it
            reason = f"{type(error).__name__}: {error}"
            log.error("release cannot be rendered; left out", release=release.number, lang=lang, reason=reason)  # noqa: TRY400  # one line says it
            return key, None

    def _render_feeds(
        self,
        state: Shelved,
        found: Plan,
        pieces: Mapping[tuple[str, int], Piece],
        fresh: set[tuple[str, int]],
        now: datetime,
    ) -> dict[str, Stored]:
        """The feeds whose bytes differ from what is served, by name."""
        changed: dict[str, Stored] = {}
        for stream, window in found.windows.items():
            names = _names(stream)
            whole = all(name in state.served for name in names)
            if whole and window == state.windows.get(stream) and not any((stream.lang, n) in fresh for n in window):
                continue
            held = [pieces[stream.lang, n][1] for n in window if (stream.lang, n) in pieces]
            fragments = [fragment for fragment in held if fragment is not None]
            newest = max((f.updated for f in fragments), default=build.UNDATED)
            for fmt, name in zip(FEED_FORMATS, names, strict=True):
                body = build.render(fmt, self._channels[stream], fragments, self.site, self.max_age)
                self._offer(changed, state, name, body, newest, now)
        for lang in self.site.languages:
            if _list_name(lang) not in state.served:
                body = opml.render(self._channels[Stream(lang, ALL)].title, self.links(lang))
                self._offer(changed, state, _list_name(lang), body, build.UNDATED, now)
        return changed

    @staticmethod
    def _offer(
        changed: dict[str, Stored], state: Shelved, name: str, body: bytes, newest: datetime, now: datetime
    ) -> None:
        etag = files.etag_of(body)
        before = state.kept.get(name)
        if before is None:
            modified = newest
        elif before.etag == etag:
            if name in state.served:
                return
            modified = before.last_modified
        else:
            later = before.last_modified + timedelta(seconds=1)
            modified = newest if newest >= later else max(moment(now), later)
        changed[name] = Stored(body, files.pack(body), etag, modified)


def _names(stream: Stream) -> tuple[str, ...]:
    return tuple(f"{stream.lang}/{stream.topic}.{fmt}" for fmt in FEED_FORMATS)


def _list_name(lang: str) -> str:
    return f"{lang}.opml"


def _due(state: Shelved, now: datetime) -> list[int]:
    return sorted(number for number, when in state.revisit.items() if when <= now)


def _settings_digest(
    channels: Iterable[Channel], site: Site, taxonomy: Taxonomy, texts: Texts, entries: int, max_age: int
) -> str:
    """Changes with anything, beside the releases, that decides a feed's bytes."""
    words = [
        (texts(lang).date(build.UNDATED, site.zone), *(texts(lang)(m) for m in MESSAGES)) for lang in site.languages
    ]
    topics = [(t.slug, t.parent, sorted(t.names.items())) for t in taxonomy.topics]
    versions = (build.RENDERER, feedgen.version.version_str, files.ENCODINGS)
    facts = (versions, replace(site, names=dict(site.names)), topics, entries, max_age, words, list(channels))
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()


MESSAGES = (
    "Attachments",
    "Corrected on {date}:",
    "Reason: {reason}",
    "This release was withdrawn on {date}.",
    "Withdrawn: {title}",
)
