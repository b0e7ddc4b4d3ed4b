"""The composer: from one edition of all feeds to the next. Pure but for the log: nothing is read, nothing is written.

Rules, in order:

1. Only entries that are new or changed are rendered; only feeds that hold one of those, or whose window moved, are
   put together; only those whose bytes differ come out.
2. An entry that cannot be rendered is logged by its number, once, and left out; its feed still ships.
3. A live feed whose window is full names the month of its oldest entry, where the archives go on.
4. Last-Modified is the newest entry's change; where a feed changed otherwise (an entry left it), it is the time of the
   refresh, so that a reader who only compares dates is never left behind.
5. `served` may be ahead of `kept`, where the disk would not take it: such a feed comes out again until it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import feedgen.version
import structlog

from feeds import build, files, opml, vocabulary
from feeds.entry import entry_key, entry_of, moment
from feeds.files import Kept, Stored
from feeds.months import month_addresses, month_of
from feeds.streams import ALL, Channel, Logo, Stream, describe, links, streams
from feeds.windows import Facts, Plan
from syndicator.domain.model import Release
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["NOTHING_BUILT", "Composer", "Edition", "Piece", "modified_at", "names_of"]

NOTHING_BUILT = -1

log = structlog.get_logger()

Piece = tuple[Hashable, build.Fragment | None]
"""A fragment and the key it was rendered for; None in the place of one that cannot be rendered."""


@dataclass(frozen=True, slots=True)
class Edition:
    """All that is known of the feeds between two refreshes; replaced whole, never changed."""

    built: int = NOTHING_BUILT
    windows: Mapping[Stream, tuple[int, ...]] = field(default_factory=dict)
    revisit: Mapping[int, datetime] = field(default_factory=dict)
    served: Mapping[str, Stored] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    facts: Mapping[int, Facts] = field(default_factory=dict)
    pieces: Mapping[tuple[str, int], Piece] = field(default_factory=dict)

    def due(self, now: datetime) -> list[int]:
        """Releases to be looked at again though nothing was written."""
        return sorted(number for number, when in self.revisit.items() if when <= now)

    def stands(self, name: str) -> bool:
        """Whether the feed is served, and as the files have it."""
        served, kept = self.served.get(name), self.kept.get(name)
        return served is not None and kept is not None and served.etag == kept.etag


class Composer:
    """Makes editions for one site. `max_age` is in seconds; `entries` is a window's size."""

    def __init__(
        self,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        entries: int,
        max_age: int,
        hubs: tuple[str, ...] = (),
        logo: Logo | None = None,
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        self._site, self._taxonomy, self._texts, self._max_age = site, taxonomy, texts, max_age
        self._hubs, self._entries, self._zone = hubs, entries, site.zone
        self.streams = streams(site, taxonomy)
        self._pictures = dict(pictures or {})  # beside the feeds, so that whoever serves the folder has them
        self.lists = (*self._pictures, vocabulary.NAME, opml.INDEX, *(f"{lang}.opml" for lang in site.languages))
        self.links = {stream: links(stream, site, taxonomy, texts) for stream in self.streams}
        self.channels = {stream: describe(stream, site, taxonomy, texts, logo) for stream in self.streams}
        self.settings = self._digest(entries)

    def compose(self, old: Edition, found: Plan, built: int, now: datetime) -> tuple[Edition, dict[str, Stored]]:
        """The edition up to change `built`, and the feeds in it that are other than before, by name."""
        windows = {s: w for s, w in {**old.windows, **found.windows}.items() if s in self.links}
        pieces, fresh = self._render_entries(old, found, windows)
        changed = self._render_feeds(old, found, pieces, fresh, now)
        served = {**old.served, **changed}
        kept = {name: old.kept[name] for name in served.keys() & old.kept.keys()}
        kept.update((name, files.kept_of(stored)) for name, stored in changed.items())
        settled = found.facts.keys() | set(old.due(now))
        revisit = {n: when for n, when in old.revisit.items() if n not in settled} | found.revisit
        held = {number for window in windows.values() for number in window}
        facts = {number: one for number, one in {**old.facts, **found.facts}.items() if number in held}
        return Edition(built, windows, revisit, served, kept, facts, pieces), changed

    def _render_entries(
        self, old: Edition, found: Plan, windows: Mapping[Stream, tuple[int, ...]]
    ) -> tuple[dict[tuple[str, int], Piece], set[tuple[str, int]]]:
        """The fragments of all windows, and which of them are other than before."""
        pieces: dict[tuple[str, int], Piece] = {}
        fresh = set()
        for place in {(stream.lang, number) for stream, window in windows.items() for number in window}:
            before = old.pieces.get(place)
            release = found.releases.get(place[1])
            if release is None:
                if before is not None:
                    pieces[place] = before
                continue
            piece = self.render_entry(release, place[0], before)
            if piece is not before:
                fresh.add(place)
            pieces[place] = piece
        return pieces, fresh

    def render_entry(self, release: Release, lang: str, before: Piece | None) -> Piece:
        """The release's entry in that language; `before` itself where nothing in it has changed."""
        variant = release.variant(lang)
        if variant is None:
            return None, None
        key = entry_key(release, variant)
        if before is not None and before[0] == key:
            return before
        try:
            entry = entry_of(release, variant, self._site, self._taxonomy, self._texts)
            return key, build.fragment_of(entry)
        except Exception as error:  # noqa: BLE001  # one bad record must never stop a feed, whatever is wrong with it
            reason = f"{type(error).__name__}: {error}"
            log.error("release cannot be rendered; left out", release=release.number, lang=lang, reason=reason)  # noqa: TRY400  # one line says it
            return key, None

    def _render_feeds(
        self,
        old: Edition,
        found: Plan,
        pieces: Mapping[tuple[str, int], Piece],
        fresh: set[tuple[str, int]],
        now: datetime,
    ) -> dict[str, Stored]:
        """The feeds whose bytes differ from what is served, by name."""
        changed: dict[str, Stored] = {}
        facts = {**old.facts, **found.facts}
        for stream, window in found.windows.items():
            names = names_of(stream)
            whole = all(map(old.stands, names))
            if whole and window == old.windows.get(stream) and not any((stream.lang, n) in fresh for n in window):
                continue
            held = [pieces[stream.lang, n][1] for n in window if (stream.lang, n) in pieces]
            fragments = [fragment for fragment in held if fragment is not None]
            newest = max((f.updated for f in fragments), default=build.UNDATED)
            channel = self._live(stream, window, facts)
            for fmt, name in zip(FEED_FORMATS, names, strict=True):
                body = self.render(fmt, channel, fragments)
                self._offer(changed, old, name, body, newest, now)
        for name in self.lists:
            if not old.stands(name):
                self._offer(changed, old, name, self._render_list(name), build.UNDATED, now)
        return changed

    def render(self, fmt: str, channel: Channel, fragments: Sequence[build.Fragment]) -> bytes:
        """One feed of this site, live or of a month; only what goes on changing is told to a hub."""
        return build.render(fmt, channel, fragments, self._max_age, () if channel.current else self._hubs)

    def _live(self, stream: Stream, window: tuple[int, ...], facts: Mapping[int, Facts]) -> Channel:
        """A full window goes on in the month of its oldest entry (RFC 5005 §4); one with room holds everything."""
        channel = self.channels[stream]
        if len(window) < self._entries:
            return channel
        month = month_of(facts[window[-1]].public_at, self._zone)
        return replace(channel, older=month_addresses(stream, month, self._site))

    def _render_list(self, name: str) -> bytes:
        if name in self._pictures:
            return self._pictures[name]
        if name == vocabulary.NAME:
            return vocabulary.render(self._site, self._taxonomy)
        if name == opml.INDEX:
            return self._render_index()
        lang = name.removesuffix(".opml")
        title = self.channels[Stream(lang, ALL)].title
        return opml.render(title, [found for stream, found in self.links.items() if stream.lang == lang])

    def _render_index(self) -> bytes:
        """All feeds, grouped by language; each group has its language's own name for itself."""
        site = self._site
        groups = {
            self._texts(lang).language_name: [found for stream, found in self.links.items() if stream.lang == lang]
            for lang in site.languages
        }
        return opml.render_groups(site.name(site.default_language), groups)

    @staticmethod
    def _offer(
        changed: dict[str, Stored], old: Edition, name: str, body: bytes, newest: datetime, now: datetime
    ) -> None:
        etag = files.etag_of(body)
        before, served = old.kept.get(name), old.served.get(name)
        if served is not None and served.etag == etag:
            if not old.stands(name):
                changed[name] = served
            return
        changed[name] = Stored(body, files.pack(body), etag, modified_at(before, etag, newest, now))

    def _digest(self, entries: int) -> str:
        """Changes with anything, beside the releases, that decides a feed's bytes."""
        site, say = self._site, self._texts
        words = [(say(lang).date(build.UNDATED, site.zone), *map(say(lang), MESSAGES)) for lang in site.languages]
        topics = [(t.slug, t.parent, t.was, sorted(t.names.items())) for t in self._taxonomy.topics]
        versions = (build.RENDERER, feedgen.version.version_str, files.ENCODINGS)
        channels = list(self.channels.values())
        facts = (
            versions,
            replace(site, names=dict(site.names)),
            topics,
            entries,
            self._max_age,
            self._hubs,
            words,
            channels,
            {name: files.etag_of(body) for name, body in self._pictures.items()},
        )
        return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()


def modified_at(before: Kept | None, etag: str, newest: datetime, now: datetime) -> datetime:
    """The Last-Modified of a feed with that ETag, after what was there `before`; `newest` is its newest change."""
    if before is None:
        return newest
    if before.etag == etag:
        return before.last_modified
    later = before.last_modified + timedelta(seconds=1)
    return newest if newest >= later else max(moment(now), later)


def names_of(stream: Stream) -> tuple[str, ...]:
    """The names of a stream's feeds, in the order of `FEED_FORMATS`: `az/all.rss` and so on."""
    return tuple(f"{stream.lang}/{stream.topic}.{fmt}" for fmt in FEED_FORMATS)


MESSAGES = (
    "Attachments",
    "Corrected on {date}:",
    "Reason: {reason}",
    "This release was withdrawn on {date}.",
    "Withdrawn: {title}",
)
