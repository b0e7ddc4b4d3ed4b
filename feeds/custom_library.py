"""What a custom feed holds: the store's own listing of a filter, cut to a window.

Rules, in order:

1. `store.releases.listing` alone says which releases a filter takes, and in which order; what may be shown is checked
   once more, by the same rules as in streams (`windows.shows`): a withdrawn release stands as its notice for 90 days.
2. With words, a withdrawn release is there only if this very filter had been asked for before the withdrawal, and what
   readers last saw of it fits: neither the text that is gone nor one written since can be felt out word by word
   (docs/decisions/0013). Topics and kinds of a withdrawn release are no secret.
3. Each release comes in the one language version that the filter chooses: the first of its languages that there is.
4. A window says up to which change of the store it stands, and when time alone may make it another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from feeds import windows
from feeds.custom_asked import AskedFilters
from syndicator.domain.filters import Facts, Filter, canonical, wants
from syndicator.domain.model import OtherLanguage, Reader, Release, State, Variant
from syndicator.domain.topics import Taxonomy
from syndicator.store import releases
from syndicator.store.database import Database

__all__ = ["Chosen", "Library", "StoreLibrary", "Window", "chosen_from", "window_of"]

LOOK_AGAIN = timedelta(hours=1)
"""After so long a window is read anew though nothing was written: a clock that was set may have hidden a release."""

_GONE = 200  # withdrawn releases at most whose words are looked at for one feed, the newest

Chosen = tuple[Release, Variant]


@dataclass(frozen=True, slots=True)
class Window:
    """Releases, newest first, each in its language; true up to `change`, from `read_at` until `until`."""

    held: tuple[Chosen, ...]
    change: int
    read_at: datetime
    until: datetime

    def stands(self, change: int, now: datetime) -> bool:
        """Whether it still tells the truth at `now`, `change` being the store's last one."""
        return self.change >= change and self.read_at <= now < self.until


class Library(Protocol):
    """Where filters are asked."""

    async def last_change(self) -> int:
        """The store's greatest change number.

        Raises:
            OSError: the store cannot be read.
        """
        ...

    async def window(self, wanted: Filter, entries: int, now: datetime) -> Window:
        """The newest `entries` that the filter takes, on one snapshot. The filter names its languages.

        Raises:
            OSError: the store cannot be read.
        """
        ...


class StoreLibrary:
    """The library in our own database; `asked` remembers which filters with words were asked for."""

    def __init__(self, database: Database, taxonomy: Taxonomy, asked: AskedFilters) -> None:
        self._database, self._taxonomy, self._asked = database, taxonomy, asked

    async def last_change(self) -> int:
        """One query."""
        async with self._database.reading() as session:
            return await releases.last_change(session)

    async def window(self, wanted: Filter, entries: int, now: datetime) -> Window:
        """One listing; with words and withdrawals since they were first asked for, one more."""
        kept, gone = now - windows.KEEP_WITHDRAWN, list[Release]()
        async with self._database.reading() as session:
            change = await releases.last_change(session)
            found = await releases.listing(
                session,
                wanted,
                self._taxonomy,
                lang=wanted.langs[0],
                now=now,
                limit=entries,
                withdrawn_since=None if wanted.words else kept,
            )
            asked = await self._asked.since(session, canonical(wanted), now) if wanted.words else None
            if asked is not None:
                gone += await releases.withdrawn_listing(
                    session,
                    wanted,
                    self._taxonomy,
                    lang=wanted.langs[0],
                    now=now,
                    since=max(kept, asked),
                    limit=_GONE,
                )
        choose = partial(_newest, [*found, *gone], wanted, self._taxonomy, now)
        held = await asyncio.to_thread(choose) if gone else choose()
        return window_of(held[:entries], change, now)


def _newest(found: Iterable[Release], wanted: Filter, taxonomy: Taxonomy, now: datetime) -> list[Chosen]:
    """What a feed may hold of these, newest first. It folds the texts of withdrawn releases, which takes time."""
    held = chosen_from(found, wanted, taxonomy, now)
    return sorted(held, key=lambda one: (one[0].public_at, one[0].number), reverse=True)


def chosen_from(found: Iterable[Release], wanted: Filter, taxonomy: Taxonomy, now: datetime) -> Iterator[Chosen]:
    """Of what a listing gave, what a feed may hold at `now`, each release in its language."""
    for release in found:
        if not windows.shows(windows.facts_of(release), now):
            continue
        if release.state is State.WITHDRAWN and not _fits_as_known(release, wanted, taxonomy):
            continue
        variant = next(filter(None, map(release.variant, wanted.langs)), None)
        if variant is not None:
            yield release, variant


def window_of(held: Sequence[Chosen], change: int, now: datetime) -> Window:
    """The window of these, with the time when it must be read again."""
    ends = (windows.look_again(windows.facts_of(release), now) for release, _ in held)
    until = min((end for end in ends if end is not None), default=now + LOOK_AGAIN)
    return Window(tuple(held), change, now, min(until, now + LOOK_AGAIN))


def _fits_as_known(release: Release, wanted: Filter, taxonomy: Taxonomy) -> bool:
    """The store gives a withdrawn release as readers last knew it; nothing else knows that text's words."""
    reader = Reader(wanted.langs[0], OtherLanguage.NEVER)
    return wants(wanted, Facts.of(release), reader, taxonomy, wanted.langs) is not None
