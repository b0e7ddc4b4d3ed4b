"""One month of every stream, from releases to files. Pure but for the log; made in a thread, page by page.

Rules, in order:

1. Only what `domain.visibility.standing` lets through at `now` and what is of this month is held. A withdrawn release
   stays for good, as its notice.
2. Entries are those of the live feeds: taken from there where they are the same, rendered here otherwise.
3. A stream without an entry in the month has no archive of it.
4. Others share this process: after some milliseconds of work the thread lets them through.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from feeds import build, files
from feeds.composer import Composer, Piece, modified_at
from feeds.files import Kept, Stored
from feeds.months import archive_channel, archive_name, month_of
from feeds.streams import Stream, touched_by
from syndicator.domain.model import Release, Standing
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.i18n import Texts

__all__ = ["MonthOfFeeds", "Neighbours", "Unhurried"]

Neighbours = Callable[[Stream], tuple[str | None, str | None]]
"""The months before and after this one in which a stream has entries."""

_WORK, _REST = 0.004, 0.001  # seconds
_PART = 4_000_000  # bytes of bodies; as much again is needed for their codings


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
    """The archives of one month in some languages, as they grow page by page. `live` finds the live feeds' entries."""

    def __init__(
        self,
        month: str,
        langs: Sequence[str],
        composer: Composer,
        live: Callable[[str, int], Piece | None],
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        now: datetime,
    ) -> None:
        self._month, self._langs, self._composer, self._live = month, langs, composer, live
        self._site, self._taxonomy, self._texts, self._now = site, taxonomy, texts, now
        self._zone = site.zone
        self._entries: defaultdict[Stream, list[build.Fragment]] = defaultdict(list)
        self._pace = Unhurried()
        self.numbers: set[int] = set()
        self.kept: dict[str, Kept] = {}

    @property
    def streams(self) -> Collection[Stream]:
        """The streams that have something to show."""
        return self._entries.keys()

    def add(self, releases: Iterable[Release]) -> None:
        """Take in the next page, newest first."""
        for release in releases:
            stands = standing(release.state, release.public_at, release.opened_at, self._now)
            if stands is Standing.HIDDEN or month_of(release.public_at, self._zone) != self._month:
                continue
            self.numbers.add(release.number)
            self._add(release)

    def _add(self, release: Release) -> None:
        for lang in self._langs:
            if release.variant(lang) is None:
                continue
            _, fragment = self._composer.render_entry(release, lang, self._live(lang, release.number))
            for stream in touched_by([lang], release.topics, self._site, self._taxonomy):
                held = self._entries[stream]
                if fragment is not None:
                    held.append(fragment)
            self._pace.breathe()

    def put_together(
        self, before: Mapping[str, Kept], around: Neighbours, present: Collection[Stream]
    ) -> Iterator[dict[str, Stored]]:
        """The files that are other than `before`, in parts that fit into memory; `kept` grows with them.

        `present` are the streams of every language that have this month.
        """
        changed: dict[str, Stored] = {}
        size = 0
        for stream, fragments in self._entries.items():
            newest = max((f.updated for f in fragments), default=build.UNDATED)
            for fmt, body in self._render(stream, fragments, around, present):
                name, etag = archive_name(stream, self._month, fmt), files.etag_of(body)
                old = before.get(name)
                if old is not None and old.etag == etag:
                    self.kept[name] = old
                else:
                    stored = Stored(body, files.pack(body), etag, modified_at(old, etag, newest, self._now))
                    changed[name], self.kept[name] = stored, files.kept_of(stored)
                    size += len(body)
                self._pace.breathe()
            if size > _PART:
                yield changed
                changed, size = {}, 0
        yield changed

    def _render(
        self, stream: Stream, fragments: Sequence[build.Fragment], around: Neighbours, present: Collection[Stream]
    ) -> Iterable[tuple[str, bytes]]:
        older, newer = around(stream)
        channel = archive_channel(
            self._composer.channels[stream],
            self._month,
            older=older,
            newer=newer,
            translated={other.lang for other in present if other.topic == stream.topic},
            site=self._site,
            say=self._texts(stream.lang),
        )
        return ((fmt, self._composer.render(fmt, channel, fragments)) for fmt in FEED_FORMATS)
