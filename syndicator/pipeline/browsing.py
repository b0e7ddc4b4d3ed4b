"""Looking through what is public, a few releases at a time: the newest, and a search. For answers in a dialogue.

Rules, in order:

1. What may be shown is decided by `store.releases.listing_after` alone; a release that is withdrawn between two pages
   is on neither.
2. A page ends at a place (`Cursor`), not at a number of rows: what is published meanwhile moves nothing, and the next
   page neither repeats nor leaves out. A cursor has a text form, short enough for a button.
3. The newest are those that the reader's subscriptions take, in the languages that they read; all where they have none.
4. A search finds what the site's search page finds: all words, each as the beginning of a word. First what has them in
   the reader's language, newest first; then in each other language of the site, without what was found before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.model import OtherLanguage, Release, SubscriptionState
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.pipeline.subscribing import Account
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.store.releases import Place

__all__ = ["MAX_ASKED", "Browsing", "Cursor", "Entry", "Page"]

PER_PAGE = 5
MAX_ASKED = 200  # characters of a search
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(r"([0-9])\.(-?[0-9a-z]{1,14})\.([0-9a-z]{1,8})")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: in which of the languages (0 is the reader's), behind which release; None is its begin."""

    language: int = 0
    place: Place | None = None

    def __str__(self) -> str:
        if self.place is None:
            return f"{self.language}"
        microseconds = (self.place.public_at - _EPOCH) // timedelta(microseconds=1)
        return f"{self.language}.{_base36(microseconds)}.{_base36(self.place.number)}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read one; None where it is none of ours."""
        if re.fullmatch(r"[0-9]", text):
            return cls(int(text))
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return None
        try:
            public_at = _EPOCH + timedelta(microseconds=int(found[2], 36))
        except OverflowError:
            return None
        number = int(found[3], 36)
        return cls(int(found[1]), Place(public_at, number)) if number < 2**31 else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A release in a list, in the version that its reader gets."""

    number: int
    title: str
    lang: str
    public_at: datetime
    url: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and where the next ones begin; None where there are no more."""

    entries: tuple[Entry, ...]
    more: Cursor | None


class Browsing:
    """See the module's rules."""

    def __init__(self, database: Database, *, site: Site, taxonomy: Taxonomy) -> None:
        self._database = database
        self._site = site
        self._taxonomy = taxonomy

    async def newest(self, account: Account, cursor: Cursor, now: datetime) -> Page:
        """The newest releases that the account's subscriptions take."""
        lang = account.subscriber.language
        found: dict[int, tuple[Release, str]] = {}
        async with self._database.reading() as session:
            for wanted in _filters(account, self._site):
                rows = await releases.listing_after(
                    session, wanted, self._taxonomy, lang=lang, now=now, limit=PER_PAGE + 1, after=cursor.place
                )
                for release in rows:
                    chosen = next((one for one in wanted.langs or (lang,) if one in release.langs), lang)
                    found.setdefault(release.number, (release, chosen))
        ordered = sorted(found.values(), key=lambda one: (one[0].public_at, one[0].number), reverse=True)
        more = Cursor(0, _place(ordered[PER_PAGE - 1][0])) if len(ordered) > PER_PAGE else None
        return Page(self._entries(ordered[:PER_PAGE]), more)

    async def search(self, words: Filter, account: Account, cursor: Cursor, now: datetime) -> Page:
        """Releases that have all the words of that filter."""
        langs = self._languages(account)
        found: list[tuple[Release, str]] = []
        at, place = cursor.language, cursor.place
        async with self._database.reading() as session:
            while at < len(langs) and len(found) <= PER_PAGE:
                rows = await releases.listing_after(
                    session,
                    words,
                    self._taxonomy,
                    lang=langs[at],
                    now=now,
                    limit=PER_PAGE + 1 - len(found),
                    after=place,
                    found_in=langs[:at],
                )
                found += [(release, langs[at]) for release in rows]
                at, place = at + 1, None
        shown = found[:PER_PAGE]
        more = None
        if len(found) > PER_PAGE:
            more = Cursor(langs.index(shown[-1][1]), _place(shown[-1][0]))
        return Page(self._entries(shown), more)

    def _languages(self, account: Account) -> Sequence[str]:
        own = account.subscriber.language
        return (own, *(lang for lang in self._site.languages if lang != own))

    def _entries(self, found: Iterable[tuple[Release, str]]) -> tuple[Entry, ...]:
        entries = []
        for release, lang in found:
            variant = release.variant(lang)
            if variant is not None:
                url = self._site.release(lang, release.number, variant.slug)
                entries.append(Entry(release.number, variant.revision.title, lang, release.public_at, url))
        return tuple(entries)


def _filters(account: Account, site: Site) -> Sequence[Filter]:
    """What the account's subscriptions take; everything where it has none."""
    found = []
    for subscription in account.subscriptions:
        if subscription.state is SubscriptionState.ACTIVE:
            try:
                found.append(parse(subscription.filter))
            except BadFilter:  # of an older version: it takes nothing
                continue
    who = account.subscriber
    if who.other_language is OtherLanguage.ALWAYS:
        langs = (who.language, *(lang for lang in site.languages if lang != who.language))
        found = [one if one.langs else replace(one, langs=langs) for one in found or [Filter()]]
    return found or [Filter()]


def _place(release: Release) -> Place:
    return Place(release.public_at, release.number)


def _base36(number: int) -> str:
    sign, number = ("-", -number) if number < 0 else ("", number)
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return sign + digits
