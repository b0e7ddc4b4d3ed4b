"""The feed of any filter: made when it is asked for, kept for as long as it is true, bounded in every way.

Rules, in order:

1. A feed stands at its filter's canonical text. Its entries are those of the streams, with the same ids and bytes; one
   of several languages has the releases' own ids, so that a late translation is no new entry.
2. A kept feed costs one small query; a change of the store one listing, and only entries that are new are rendered.
   Who asks for what is being made waits for it; nothing is made twice.
3. Few are made at a time, in a thread, and few may wait: who comes after that is told to come back (`Crowded`). How
   much is kept is bounded in number and in bytes, so that no stranger can fill the memory.
4. The validators move with the bytes alone. Last-Modified is the newest entry's change, but not before the moment from
   which this process can tell whether the feed was another: a reader who only compares dates is never left behind.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from feeds import build, files, opml
from feeds.custom_cache import Cache
from feeds.custom_library import Chosen, Library, Window
from feeds.custom_writer import Writer
from feeds.entry import entry_key, moment
from feeds.files import Stored
from feeds.streams import Logo
from syndicator.domain.filters import Filter, canonical
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["FORMATS", "Bounds", "Crowded", "CustomFeeds", "in_force"]

FORMATS = {**build.CONTENT_TYPES, "opml": opml.CONTENT_TYPE}
"""The formats of a custom feed, and their content types."""

Key = tuple[str, str]
ALWAYS = Window((), 0, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""The window of what no release changes."""
Piece = tuple[build.Fragment | None]
"""One entry; it holds None where that cannot be rendered."""
Validators = tuple[str, datetime]


class Crowded(OSError):
    """Too many feeds are being made; nothing is wrong with this one. `wait` is in seconds."""

    def __init__(self, wait: int = 5) -> None:
        super().__init__("Many feeds are being made; try again in a moment.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept and done at once; sizes in bytes."""

    feeds: int = 500
    feeds_size: int = 48_000_000
    entries: int = 5_000
    entries_size: int = 32_000_000
    validators: int = 20_000
    at_once: int = 2
    waiting: int = 32


@dataclass(frozen=True, slots=True)
class _Made:
    """A finished feed, and the window it was made from without what it holds."""

    stored: Stored
    window: Window


def in_force(wanted: Filter, site: Site, taxonomy: Taxonomy) -> Filter:
    """The filter with the site's language if it names none, and with today's slugs for topics that were renamed.

    Raises:
        BadFilter: with today's slugs nothing could ever match.
    """
    return replace(
        wanted,
        langs=wanted.langs or (site.default_language,),
        topics=tuple(map(taxonomy.current, wanted.topics)),
        without=tuple(map(taxonomy.current, wanted.without)),
    )


class CustomFeeds:
    """Feeds of any filter. `entries` is a window's size, `max_age` is in seconds, `hubs` are named in every feed."""

    def __init__(
        self,
        library: Library,
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        entries: int,
        max_age: int,
        hubs: tuple[str, ...] = (),
        logo: Logo | None = None,
        bounds: Bounds = Bounds(),
    ) -> None:
        self.site, self.taxonomy = site, taxonomy
        self._library = library
        self._writer = Writer(site, taxonomy, texts, max_age, hubs, logo)
        self._entries, self._bounds = entries, bounds
        self._feeds: Cache[Key, _Made] = Cache(bounds.feeds, bounds.feeds_size)
        self._fragments: Cache[Hashable, Piece] = Cache(bounds.entries, bounds.entries_size)
        self._told: OrderedDict[Key, Validators] = OrderedDict()
        self._since: datetime | None = None
        self._turns = asyncio.Semaphore(bounds.at_once)
        self._under_way: dict[Key, asyncio.Task[_Made]] = {}
        self._asking: asyncio.Task[int] | None = None

    async def find(self, wanted: Filter, fmt: str, now: datetime) -> Stored:
        """The feed of a filter as it stands at `now`; `fmt` is one of `FORMATS`.

        Raises:
            BadFilter: its topics were renamed, and with today's slugs nothing could ever match.
            Crowded: too many are being made; it may be asked for again in a moment.
            OSError: the store cannot be read, and the feed is not kept from before.
        """
        wanted = in_force(wanted, self.site, self.taxonomy)
        self._since = self._since or moment(now)
        key = (canonical(wanted), fmt)
        kept = self._feeds.get(key)
        try:
            change = await self._last_change() if fmt != "opml" else 0  # a list says nothing of releases
        except OSError:
            if kept is not None:  # as those of topics go on while the database is away
                return kept.stored
            raise
        kept = self._feeds.get(key)
        if kept is not None and kept.window.stands(change, now):
            return kept.stored
        made = await self._join(key, wanted, now)
        if not made.window.stands(change, now):
            # it was under way when we came, and is older than the change that we know of; the next one is not
            made = await self._join(key, wanted, now)
        return made.stored

    def holds(self, wanted: Filter, fmt: str) -> bool:
        """Whether it is kept, so that asking for it costs little; the filter is `in_force`."""
        return (canonical(wanted), fmt) in self._feeds

    @property
    def kept(self) -> tuple[int, int]:
        """How many feeds are kept, and how many bytes they and their entries take."""
        return len(self._feeds), self._feeds.bytes + self._fragments.bytes

    async def _last_change(self) -> int:
        """One query, whoever waits for its answer."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._library.last_change())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, task: asyncio.Task[int]) -> None:
        self._asking = None
        _look_at(task)

    async def _join(self, key: Key, wanted: Filter, now: datetime) -> _Made:
        """What is being made under that key, by this call if by no other; it goes on even if everybody leaves."""
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._bounds.at_once + self._bounds.waiting:
                raise Crowded
            task = asyncio.create_task(self._make(key, wanted, now))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: Key, task: asyncio.Task[_Made]) -> None:
        del self._under_way[key]
        _look_at(task)

    async def _make(self, key: Key, wanted: Filter, now: datetime) -> _Made:
        async with self._turns:
            if key[1] == "opml":
                return await self._make_list(key, wanted, now)
            window = await self._library.window(wanted, self._entries, now)
            mixed = len(wanted.langs) > 1
            held = {entry_key(release, variant, mixed=mixed): (release, variant) for release, variant in window.held}
            known = {place: self._fragments.get(place) for place in held}
            fresh, stored = await asyncio.to_thread(self._render, wanted, key[1], held, known)
        for place, piece in fresh.items():
            self._fragments.put(place, piece, sum(len(f.rss) + len(f.atom) + len(f.json) for f in piece if f))
        stored = replace(stored, last_modified=self._modified(key, stored, now))
        return self._keep(key, _Made(stored, replace(window, held=())))

    async def _make_list(self, key: Key, wanted: Filter, now: datetime) -> _Made:
        """A subscription list, which stands as long as this process does."""
        stored = await asyncio.to_thread(
            lambda: _stored(self._writer.subscriptions(wanted), self._since or moment(now))
        )
        return self._keep(key, _Made(stored, ALWAYS))

    def _keep(self, key: Key, made: _Made) -> _Made:
        self._feeds.put(key, made, len(made.stored.body) + sum(map(len, made.stored.packed.values())))
        return made

    def _render(
        self, wanted: Filter, fmt: str, held: Mapping[Hashable, Chosen], known: Mapping[Hashable, Piece | None]
    ) -> tuple[dict[Hashable, Piece], Stored]:
        """The entries that were not known, and the feed, dated by its newest entry. In a thread."""
        mixed = len(wanted.langs) > 1
        fresh = {
            place: (self._writer.fragment(*one, mixed=mixed),) for place, one in held.items() if known[place] is None
        }
        fragments = [fragment for place in held for fragment in (known[place] or fresh[place]) if fragment is not None]
        newest = max((fragment.updated for fragment in fragments), default=build.UNDATED)
        return fresh, _stored(self._writer.feed(wanted, fmt, fragments), newest)

    def _modified(self, key: Key, stored: Stored, now: datetime) -> datetime:
        """Last-Modified of what was just made; both validators are remembered."""
        etag, newest = stored.etag, stored.last_modified
        before, since = self._told.get(key), self._since or moment(now)
        if before is None:
            when = max(newest, since)
        elif before[0] == etag:
            when = before[1]
        else:
            later = before[1] + timedelta(seconds=1)
            when = newest if newest >= later else max(moment(now), later)
        self._told[key] = (etag, when)
        self._told.move_to_end(key)
        if len(self._told) > self._bounds.validators:
            self._told.popitem(last=False)
            self._since = moment(now)  # of one feed we no longer know what it was
        return when


def _stored(body: bytes, modified: datetime) -> Stored:
    return Stored(body, files.pack(body), files.etag_of(body), modified)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Those who wait are told of an error; if all have left, nobody needs to be."""
    if not task.cancelled():
        task.exception()
