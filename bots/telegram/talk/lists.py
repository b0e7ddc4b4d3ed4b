"""/latest and /search: releases a few at a time, further pages by a button, in place of the page before.

Rules, in order:

1. What is listed, and in which order, is `pipeline.browsing`'s; here it becomes text.
2. Nothing is remembered between two pages: the button says where the next one begins, and the words of a search stand
   in the first line of the list itself. A button of a list that Telegram no longer shows us asks for the words again.
3. A title is one line of bounded length; its date is told in the reader's zone; each has its address under it.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from telegram import InlineKeyboardMarkup

from bots.telegram.richtext import clean, visible
from bots.telegram.talk.screens import SEEK, Press, Screen, button, question
from bots.telegram.talk.turns import Command, Part, Turn
from syndicator.domain.filters import MAX_WORDS, BadFilter, Cause, Filter
from syndicator.domain.site import Site
from syndicator.i18n import Translator
from syndicator.pipeline.browsing import MAX_ASKED, Browsing, Cursor, Entry, Page
from syndicator.wording import language_name

__all__ = ["Lists", "zone_of"]

_ = str  # marks a text for the catalogues where it is not yet translated

QUESTION = _("What are you looking for? Send the words; beginnings are enough: “vis” finds “visa” and “visas”.")
_NOTHING = _("Nothing was found with all of these words. Try beginnings: “vis” finds “visa” and “visas”.")
_MARK = "🔎 "
_TITLE = 250


class Lists:
    """The two commands, and the buttons under their lists."""

    def __init__(self, browsing: Browsing, site: Site) -> None:
        self._browsing = browsing
        self._site = site

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[
                Command("latest", _("the newest releases"), 40, self.latest),
                Command("search", _("search the releases"), 41, self.search),
            ],
            presses={"new": self.more_latest, "find": self.more_found, SEEK: self.look},
            questions={QUESTION: self.search},
        )

    async def latest(self, turn: Turn) -> Screen:
        """/latest."""
        return await self._latest(turn, Cursor())

    async def more_latest(self, turn: Turn, press: Press) -> Screen | None:
        """The next page of them, or the first."""
        cursor = Cursor.parse(press.topic)
        return await self._latest(turn, cursor) if cursor else None

    async def search(self, turn: Turn) -> Screen:
        """/search, or the answer to its question; without words, the question."""
        return await self._search(turn, turn.said, Cursor())

    async def look(self, turn: Turn, press: Press) -> Screen:
        """The search that the button carries."""
        return await self._search(turn, press.topic, Cursor())

    async def more_found(self, turn: Turn, press: Press) -> Screen | None:
        """The next page of a search, or the first; its words stand in the list's first line."""
        cursor = Cursor.parse(press.topic)
        first = turn.shown.partition("\n")[0]
        words = first.removeprefix(_MARK.strip()) if first.startswith(_MARK.strip()) else ""
        return await self._search(turn, words, cursor) if cursor else None

    async def _latest(self, turn: Turn, cursor: Cursor) -> Screen:
        t = turn.t
        page = await self._browsing.newest(turn.account, cursor, turn.now)
        heading = t("The newest on your topics:") if turn.chosen is not None else t("The newest releases:")
        if not page.entries:
            heading = t("There is nothing more.") if cursor.place else t("There is nothing to show yet.")
        return self._screen(turn, heading, page, "new", cursor)

    async def _search(self, turn: Turn, said: str, cursor: Cursor) -> Screen:
        t, said = turn.t, _line(said)
        if not said:
            return question(t(QUESTION))
        if len(said) > MAX_ASKED:
            return Screen(t("That is too long: a search takes {limit} characters at most.", limit=MAX_ASKED))
        try:
            words = Filter(words=(said,))
        except BadFilter as error:
            if error.cause is Cause.WORDS:
                return Screen(t("These are too many words: a search takes {limit} at most.", limit=MAX_WORDS))
            return question(t(QUESTION))
        page = await self._browsing.search(words, turn.account, cursor, turn.now)
        heading = _MARK + said
        if not page.entries:
            nothing = t("There is nothing more.") if cursor.place else t(_NOTHING)
            heading = f"{heading}\n\n{nothing}"
        return self._screen(turn, heading, page, "find", cursor)

    def _screen(self, turn: Turn, heading: str, page: Page, action: str, cursor: Cursor) -> Screen:
        zone = zone_of(turn, self._site)
        text = "\n\n".join([heading, *(_entry(one, turn.t, zone) for one in page.entries)])
        row = [button(turn.t("‹ To the first"), Press(action, topic=str(Cursor())))] if cursor.place else []
        if page.more is not None:
            row.append(button(turn.t("More ›"), Press(action, topic=str(page.more))))
        return Screen(text, InlineKeyboardMarkup([row]) if row else None)


def zone_of(turn: Turn, site: Site) -> ZoneInfo:
    """The reader's time zone; the office's where it is none that this machine knows."""
    try:
        return ZoneInfo(turn.account.subscriber.timezone)
    except (ValueError, OSError, LookupError):
        return site.zone


def _entry(one: Entry, t: Translator, zone: ZoneInfo) -> str:
    title = _line(one.title)[:_TITLE]
    said = t.moment(one.public_at, zone)
    if one.lang != t.lang:
        said = f"{said} · {language_name(one.lang, t)}"
    return f"{title if visible(title) else one.number}\n{said}\n{one.url}"


def _line(text: str) -> str:
    return " ".join(clean(text).split())
