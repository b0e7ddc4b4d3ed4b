"""One month of every stream, from releases to files. Pure but for the log; made in a thread, page by page.

Rules, in order:

1. Only what `domain.visibility.standing` lets through at `now` and what is of this month is held. A withdrawn release
   stays for good, as its notice.
2. Entries of releases that have not changed since the last build are taken out of what was built then; those releases
   are not even read. The others are those of the live feeds where they are the same, and rendered here otherwise.
3. A stream without an entry in the month has no archive of it; one whose entries and neighbours are the same is not
   put together again.
4. Others share this process: after some milliseconds of work the thread lets them through.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from feeds import build, files
from feeds.archives_memory import Memory, line_of, sum_of
from feeds.composer import Composer, Piece, modified_at
from feeds.files import Kept, Stored
from feeds.months import archive_channel, archive_name, month_of
from feeds.streams import ALL, Stream, touched_by
from syndicator.domain.model import Release, Standing
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.i18n import Texts
from syndicator.store.calendar import Placed

__all__ = ["Before", "MonthOfFeeds", "Neighbours", "Unhurried"]

Neighbours = Callable[[Stream], tuple[str | None, str | None]]
"""The months before and after this one in which a stream has entries."""

_WORK, _REST = 0.004, 0.001  # seconds
_PART = 4_000_000  # bytes of bodies; as much again is needed for their codings


@dataclass(frozen=True, slots=True)
class Before:
    """What there is of a month: every name with its validators, which of them stand, and what is remembered."""

    kept: Mapping[str, Kept] = field(default_factory=dict)
    standing: Collection[str] = ()
    memory: Memory | None = None


class Unhurried:
    """Lets other threads through: Python has one lock, and who never waits keeps it longest."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def breathe(self) -> None:
        """Rest for a moment, if it is time."""
        if time.monotonic() - self._since >= _WORK:
            time.sleep(_REST)
            self._since = time.monotonic()


class MonthOfFeeds:
    """The archives of one month in some languages, as they grow page by page.

    `placed` is all that the month holds, newest first; `live` finds the live feeds' entries, `recalled` those of the
    last build with the change each is of, by language and number.
    """

    def __init__(
        self,
        month: str,
        langs: Sequence[str],
        composer: Composer,
        live: Callable[[str, int], Piece | None],
        placed: Sequence[Placed],
        recalled: Mapping[tuple[str, int], tuple[int, build.Fragment]],
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        now: datetime,
    ) -> None:
        self._month, self._langs, self._composer, self._live = month, langs, composer, live
        self._site, self._taxonomy, self._texts, self._now = site, taxonomy, texts, now
        self._zone = site.zone
        self._placed = placed
        self._found = {
            (lang, one.number): recalled[lang, one.number][1]
            for one in placed
            for lang in langs
            if (lang, one.number) in recalled and recalled[lang, one.number][0] == one.change
        }
        self._read: dict[tuple[str, int], build.Fragment | None] = {}
        self._hidden: set[int] = set()
        self._entries: defaultdict[Stream, list[tuple[Placed, build.Fragment | None]]] = defaultdict(list)
        self._pace = Unhurried()
        self.numbers: set[int] = set()
        self.kept: dict[str, Kept] = {}
        self.memory = Memory(composer.settings)

    @property
    def streams(self) -> Collection[Stream]:
        """The streams that have something to show."""
        return self._entries.keys()

    def unread(self) -> list[int]:
        """The releases that must be read, newest first."""
        return [
            one.number
            for one in self._placed
            if any(lang in one.langs and (lang, one.number) not in self._found for lang in self._langs)
        ]

    def add(self, releases: Iterable[Release]) -> None:
        """Take in the next page of them."""
        for release in releases:
            stands = standing(release.state, release.public_at, release.opened_at, self._now)
            if stands is Standing.HIDDEN or month_of(release.public_at, self._zone) != self._month:
                self._hidden.add(release.number)
                continue
            for lang in self._langs:
                if release.variant(lang) is not None:
                    _, fragment = self._composer.render_entry(release, lang, self._live(lang, release.number))
                    self._read[lang, release.number] = fragment
                    self._pace.breathe()

    def arrange(self) -> None:
        """Put every entry into its streams, after the last page."""
        for one in self._placed:
            if one.number in self._hidden:
                continue
            self.numbers.add(one.number)
            for lang in self._langs:
                place = lang, one.number
                if place not in self._read and place not in self._found:
                    continue
                fragment = self._read[place] if place in self._read else self._found[place]
                for stream in touched_by([lang], one.topics, self._site, self._taxonomy):
                    self._entries[stream].append((one, fragment))
            self._pace.breathe()
        for lang in self._langs:
            held = self._entries.get(Stream(lang, ALL), ())
            if held:
                self.memory.lines[lang] = [line_of(one, fragment) for one, fragment in held if fragment is not None]

    def put_together(
        self, before: Before, around: Neighbours, present: Collection[Stream]
    ) -> Iterator[dict[str, Stored]]:
        """The files that are other than `before`, in parts that fit into memory; `kept` grows with them.

        `present` are the streams of every language that have this month.
        """
        changed: dict[str, Stored] = {}
        size = 0
        for stream, held in self._entries.items():
            translated = {other.lang for other in present if other.topic == stream.topic}
            total = self.memory.sums[stream] = sum_of((one for one, _ in held), around(stream), translated)
            names = [archive_name(stream, self._month, fmt) for fmt in FEED_FORMATS]
            if before.memory is not None and before.memory.sums.get(stream) == total and _all(names, before.standing):
                self.kept.update((name, before.kept[name]) for name in names)
                continue
            fragments = [fragment for _, fragment in held if fragment is not None]
            newest = max((f.updated for f in fragments), default=build.UNDATED)
            for name, body in zip(names, self._render(stream, fragments, around(stream), translated), strict=True):
                if (stored := self._offer(before, name, body, newest)) is not None:
                    changed[name] = stored
                    size += len(body)
                self._pace.breathe()
            if size > _PART:
                yield changed
                changed, size = {}, 0
        yield changed

    def _offer(self, before: Before, name: str, body: bytes, newest: datetime) -> Stored | None:
        """The file, if it is to be written."""
        etag, old = files.etag_of(body), before.kept.get(name)
        if old is not None and old.etag == etag and name in before.standing:
            self.kept[name] = old
            return None
        stored = Stored(body, files.pack(body), etag, modified_at(old, etag, newest, self._now))
        self.kept[name] = files.kept_of(stored)
        return stored

    def _render(
        self,
        stream: Stream,
        fragments: Sequence[build.Fragment],
        around: tuple[str | None, str | None],
        translated: Collection[str],
    ) -> Iterable[bytes]:
        older, newer = around
        channel = archive_channel(
            self._composer.channels[stream],
            self._month,
            older=older,
            newer=newer,
            translated=translated,
            site=self._site,
            say=self._texts(stream.lang),
        )
        return (self._composer.render(fmt, channel, fragments) for fmt in FEED_FORMATS)


def _all(names: Iterable[str], standing: Collection[str]) -> bool:
    return all(name in standing for name in names)
