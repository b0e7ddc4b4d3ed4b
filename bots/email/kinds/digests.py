"""A digest by mail: what was published in some days, each release once, joined from pieces that are made once.

Rules, in order:

1. Its items are those that may be seen now (`allowed`); with nothing left there is no mail. A text is the current one.
2. Urgent ones come first, then day by day the newest, on the reader's own calendar. They are not grouped by topic: many
   have several, and would stand where half of their readers do not look. What was corrected says so, with its note.
3. `FULL` of them at most have their opening words; the next ones a title each, `MOST` together, as many as fit.
   What is not shown is counted, and was not told: the mail says which ones were (`Compiled.shown`).
4. A piece is compiled once per (text, languages, zone, form) and shared by all digests that hold it: a hundred thousand
   people with as many sets cost joining, not rendering. What many have alike is kept whole.
5. The subject says how many, and the first titles. Days are the reader's; so are the times, and the mail says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from bots.email.frame import BULK, RESERVED, Compiled, Frame, Recipe
from bots.email.headers import feedback_id, text_line
from bots.email.kept import Kept
from bots.email.mails import LARGEST, NotSendable
from bots.email.pattern import Marks, Pattern, quoted
from bots.email.views import Entry, days_in_words, entry_view, zone_of
from syndicator.domain.letters import Item, Letter
from syndicator.domain.model import Urgency
from syndicator.domain.text import excerpt, upper
from syndicator.i18n import Translator
from syndicator.wording import zone_in_words

__all__ = ["Digests"]

FULL = 25
MOST = 150
PIECES = 4_000
OCTETS = 16_000_000
SUBJECT = 140  # characters
AROUND = 4_000  # bytes for subject, heading and preview, and for what stands before and after the titles


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of both parts of a mail, encoded; `title` is an entry's."""

    text: bytes
    html: bytes
    title: str = ""

    @property
    def size(self) -> int:
        """Bytes, with what joins it to the next."""
        return len(self.text) + len(self.html) + 6


class Digests:
    """Makes digests; it keeps the pieces that it has made."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._pieces: Kept[Piece] = Kept(PIECES, OCTETS)
        self._frames: Kept[Pattern] = Kept(64, OCTETS)

    def digest(self, letter: Letter) -> Recipe:
        """What is new since the last one.

        Raises:
            NotSendable: there is nothing to tell of.
        """
        items = _in_order(letter.items)
        if not items:
            raise NotSendable("there is nothing to tell of")
        t = self._frame.texts(letter.reader_lang)
        zone = zone_of(letter.timezone, self._frame.site.zone)
        frequency = letter.message.split(":")[1] if letter.message.startswith("digest:") else "digest"
        known = tuple((item.release.number, item.release.change, item.lang) for item in items)
        key = (letter.kind, known, t.lang, zone.key, letter.text_only, frequency)
        text_only = letter.text_only

        def make() -> Compiled:
            return _Making(self, self._frame, t, zone, text_only).whole(items, frequency)

        return Recipe(key, make)

    def piece(self, key: Hashable, make: Callable[[], Piece]) -> Piece:
        """A piece that may be known already."""
        return self._pieces.get(key, make)

    def outside(self, key: Hashable, make: Callable[[], Pattern]) -> Pattern:
        """What stands around the pieces."""
        return self._frames.get(key, make)


def _in_order(items: Sequence[Item]) -> list[Item]:
    """Each release once, in the order in which they are told."""
    once = {item.release.number: item for item in items}.values()
    told = [item for item in once if item.release.variant(item.lang) is not None]
    told.sort(key=lambda item: (item.release.public_at, item.release.number), reverse=True)
    told.sort(key=lambda item: item.release.urgency is not Urgency.URGENT)
    return told


@dataclass(frozen=True, slots=True)
class _Making:
    """One digest being made: for a language, a zone and a form."""

    digests: Digests
    frame: Frame
    t: Translator
    zone: ZoneInfo
    text_only: bool

    def whole(self, items: Sequence[Item], frequency: str) -> Compiled:
        outside = self._outside(frequency)
        full, brief = self._fitting(items, LARGEST - RESERVED - outside.size)
        pieces = list(self._sections(items, full))
        if brief:
            pieces += [self._heading(self.t("More in brief")), *brief]
        count = len(full) + len(brief)
        if hidden := len(items) - count:
            pieces.append(self._ending(hidden))
        values = {**self._front(items, full or brief), "entries": b"\r\n\r\n".join(one.text for one in pieces).lstrip()}
        if not self.text_only:
            values["entries_html"] = b"\r\n".join(one.html for one in pieces)
        return Compiled(outside.partly(values), tuple(item.release.number for item in items[:count]))

    def _fitting(self, items: Sequence[Item], room: int) -> tuple[Sequence[Piece], Sequence[Piece]]:
        """Those that are told in full, and those behind them of which there is a title."""
        room -= AROUND
        full = [self._entry(item, full=True) for item in items[:FULL]]
        above = self._headings(items[:FULL])
        if len(full) == len(items) and sum(above) + sum(one.size for one in full) <= room:
            return full, ()
        brief = [self._entry(item, full=False) for item in items[:MOST]]
        spent = sum(one.size for one in brief)
        while spent > room:
            spent -= brief.pop().size
        count = 0
        for heading, short, long in zip(above, brief, full, strict=False):
            spent += heading + long.size - short.size
            if spent > room:
                break
            count += 1
        return full[:count], brief[count:]

    def _headings(self, items: Sequence[Item]) -> Sequence[int]:
        """Bytes of the heading before each of them; most have none."""
        days = [self._day(item) for item in items]
        begins = [place == 0 or day != days[place - 1] for place, day in enumerate(days)]
        return [self._over(day).size if first else 0 for day, first in zip(days, begins, strict=True)]

    def _sections(self, items: Sequence[Item], pieces: Sequence[Piece]) -> Iterator[Piece]:
        for day, of_day in groupby(zip(items, pieces, strict=False), key=lambda pair: self._day(pair[0])):
            yield self._over(day)
            for _, piece in of_day:
                yield piece

    def _over(self, day: date | None) -> Piece:
        words = self.t("Urgent") if day is None else days_in_words(day, day, self.t)
        return self._heading(words, urgent=day is None)

    def _day(self, item: Item) -> date | None:
        about = item.release
        return None if about.urgency is Urgency.URGENT else about.public_at.astimezone(self.zone).date()

    def _entry(self, item: Item, *, full: bool) -> Piece:
        about, lang = item.release, item.lang
        key = (about.number, about.change, lang, self.t.lang, self.zone.key, full)
        return self.digests.piece((*key, self.text_only), lambda: self._rendered_entry(item, full=full))

    def _rendered_entry(self, item: Item, *, full: bool) -> Piece:
        shown: Entry = entry_view(item.release, item.lang, self.frame.site)
        when = (self.t.moment if shown.urgent else self.t.time)(shown.public_at, self.zone)  # below its day
        return replace(self._rendered("entry", entry=shown, when=when, full=full), title=shown.title)

    def _heading(self, words: str, *, urgent: bool = False) -> Piece:
        values = {"words": words, "loud": upper(words, self.t.lang), "urgent": urgent}
        key = ("heading", words, self.t.lang, self.text_only)

        def make() -> Piece:
            made = self._rendered("section", **values)
            return replace(made, text=b"\r\n" + made.text)  # one more line is free before it

        return self.digests.piece(key, make)

    def _ending(self, hidden: int) -> Piece:
        words = self.t.plural("And {count} more on our site:", "And {count} more on our site:", hidden)
        return self._rendered("more", words=words, link=self.frame.site.home(self.t.lang))

    def _rendered(self, name: str, **values: Any) -> Piece:
        templates = self.frame.templates
        text = quoted(templates.text(name, self.t, **values).strip("\n"))
        return Piece(text, b"" if self.text_only else quoted(templates.piece(name, self.t, **values)))

    def _front(self, items: Sequence[Item], first: Sequence[Piece]) -> dict[str, bytes]:
        """What stands before the pieces: subject, heading, preview."""
        days = [item.release.public_at.astimezone(self.zone).date() for item in items]
        count = self.t.plural("{count} release", "{count} releases", len(items))
        heading = f"{count}, {days_in_words(min(days), max(days), self.t)}"
        titles = [one.title for one in first[:4]]
        front = {
            "subject": text_line("Subject", excerpt(f"{count}: {'; '.join(titles)}", SUBJECT)),
            "heading": quoted(heading),
        }
        if self.text_only:
            return front
        preview = excerpt("; ".join(titles[1:]) or heading, SUBJECT)
        return front | {"heading_html": quoted(escape(heading)), "preview_html": quoted(escape(preview))}

    def _outside(self, frequency: str) -> Pattern:
        key = ("digest", self.t.lang, self.text_only, frequency, self.zone.key)

        def make() -> Pattern:
            lang, frame = self.t.lang, self.frame
            marks = Marks(repr(key))
            head = frame.head(None, lang, feedback_id("0", "", frequency, frame.host))
            place = zone_in_words(self.zone, lang)
            parts = frame.parts("digest", lang, marks, text_only=self.text_only, place=place)
            return frame.pattern(head, parts, lang, marks, BULK | {"heading", "entries"}, {"preview_html"})

        return self.digests.outside(key, make)
