"""The time zone: where digests come in the morning and quiet hours are at night.

Rules, in order:

1. The office's own zone stands first, then some that its readers often live in; any other is found by typing a city, a
   country, how far it is from UTC, or an IANA name (`zone_names`).
2. What stands for several zones (a country that has many) is answered with those to choose from.
3. What cannot be found changes nothing, and is answered with the list again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from bots.telegram.talk.home import Home, back_home
from bots.telegram.talk.screens import Press, Screen, column, lines, question, radio
from bots.telegram.talk.turns import Chats, Part, Turn
from bots.telegram.talk.zone_names import find_zones, is_zone, zone_name, zone_now
from syndicator.domain.site import Site
from syndicator.i18n import Texts

__all__ = ["Zones"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ASKED = _("Where are you? Write a city, a country or the difference to UTC, for example: Berlin or UTC+4")
_COMMON = ("Asia/Baku", "Asia/Tbilisi", "Europe/Istanbul", "Europe/Moscow", "Europe/Berlin", "Europe/London",
           "Asia/Dubai", "Asia/Almaty", "America/New_York")  # fmt: skip


class Zones:
    """The screen for it."""

    def __init__(self, chats: Chats, home: Home, *, site: Site, texts: Texts) -> None:
        self._chats = chats
        self._home = home
        self._locales = [texts(lang).locale for lang in texts.languages]
        self._common = tuple(dict.fromkeys((site.timezone, *_COMMON)))

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(presses={"zon": self.press}, questions={_ASKED: self.hear})

    async def press(self, turn: Turn, press: Press) -> Screen:
        """Show some, ask for another, or set what the button says."""
        if press.value == "ask":
            return question(turn.t(_ASKED), "Berlin")
        return await self._hold(turn, press.topic) if is_zone(press.topic) else self.screen(turn)

    async def hear(self, turn: Turn) -> Screen:
        """The answer to our question."""
        found = await asyncio.to_thread(find_zones, turn.said, self._locales, turn.now)  # others are not to wait
        if len(found) == 1:
            return await self._hold(turn, found[0])
        if found:
            return self.screen(turn, turn.t("There are several time zones. Which one is yours?"), found)
        said = turn.t("We know no such place. Choose one, or write a larger city near you, a country or, say, UTC+4.")
        return self.screen(turn, said)

    async def _hold(self, turn: Turn, zone: str) -> Screen:
        turn = turn.after(await self._chats.set_reading(turn.account, timezone=zone, now=turn.now))
        return self._home.screen(turn, turn.t("✅ Changed."))

    def screen(self, turn: Turn, note: str = "", found: Sequence[str] = ()) -> Screen:
        """The zones to choose from: what was found, or the usual ones."""
        t, held = turn.t, turn.zone.key
        offered = found or (self._common if held in self._common else (held, *self._common))
        choices = [(zone_name(ZoneInfo(one), turn.now, t), Press("zon", "", 0, one)) for one in offered]
        said = lines(
            note,
            t("Your clock: {zone}.", zone=zone_now(turn.zone, turn.now, t)),
            t("Digests and quiet hours go by it."),
        )
        rows = radio(choices, offered.index(held) if held in offered else None)
        return Screen(said, column([*rows, (t("Another place…"), Press("zon", "ask")), back_home(t)]))
