"""The time zone: where digests come in the morning and quiet hours are at night.

Rules, in order:

1. The office's own zone stands first, then some that its readers often live in; any other is found by typing a city or
   an IANA name (`zone_names`).
2. What cannot be found changes nothing, and is answered with what can.
"""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from bots.telegram.talk.home import Home, back_home
from bots.telegram.talk.screens import Press, Screen, column, lines, question, radio
from bots.telegram.talk.turns import Chats, Part, Turn
from bots.telegram.talk.zone_names import find_zone, is_zone, zone_name, zone_now
from syndicator.domain.site import Site
from syndicator.i18n import Texts

__all__ = ["Zones"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ASKED = _("Where are you? Write a large city in your time zone, for example: Berlin")
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
        wanted = await asyncio.to_thread(find_zone, turn.said, self._locales)  # others are not to wait
        if wanted is None:
            said = turn.t("We know no such place. Please write a larger city near you, or a name such as Asia/Baku.")
            return self.screen(turn, said)
        return await self._hold(turn, wanted)

    async def _hold(self, turn: Turn, zone: str) -> Screen:
        turn = turn.after(await self._chats.set_reading(turn.account, timezone=zone, now=turn.now))
        return self._home.screen(turn, turn.t("✅ Changed."))

    def screen(self, turn: Turn, note: str = "") -> Screen:
        """The zones to choose from."""
        t, held = turn.t, turn.zone.key
        offered = self._common if held in self._common else (held, *self._common)
        choices = [(zone_name(ZoneInfo(one), turn.now, t), Press("zon", "", 0, one)) for one in offered]
        said = lines(
            note,
            t("Your clock: {zone}.", zone=zone_now(turn.zone, turn.now, t)),
            t("Digests and quiet hours go by it."),
        )
        keyboard = column(
            [*radio(choices, offered.index(held)), (t("Another place…"), Press("zon", "ask")), back_home(t)]
        )
        return Screen(said, keyboard)
