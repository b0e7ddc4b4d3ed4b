"""Quiet hours: some to choose from, or any by typing such as `22-8`.

Rules, in order:

1. Hours are whole ones of the reader's own clock, which the screen names.
2. What is typed is read generously: `22-8`, `22:00 – 08:00`, `22 to 8`. Two hours must be in it, and no minutes.
3. What cannot be read changes nothing, and is answered with what can.
"""

from __future__ import annotations

import re

from bots.telegram.talk.home import Home, back_home, hours_in_words, quiet_of
from bots.telegram.talk.screens import Press, Screen, column, lines, question, radio
from bots.telegram.talk.turns import Chats, Part, Turn
from bots.telegram.talk.zone_names import zone_now
from syndicator.domain.quiet import Quiet

__all__ = ["QuietHours", "read_hours"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ASKED = _("Which hours should be quiet? Write two hours, for example: 22-8")
_COMMON = (Quiet(21, 9), Quiet(22, 8), Quiet(23, 7))
_HOURS = re.compile(r"\D{0,20}([0-9]{1,2})(?:[:.]00)?(?!\d|[:.]\d)\D{1,20}([0-9]{1,2})(?:[:.]00)?\D{0,20}")


class QuietHours:
    """The screen for them."""

    def __init__(self, chats: Chats, home: Home) -> None:
        self._chats = chats
        self._home = home

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(presses={"qui": self.press}, questions={_ASKED: self.hear})

    async def press(self, turn: Turn, press: Press) -> Screen:
        """Show them, ask for others, or set what the button says."""
        if press.value == "ask":
            return question(turn.t(_ASKED), "22-8")
        if press.value == "off":
            return await self._hold(turn, None)
        wanted = read_hours(press.value)
        return await self._hold(turn, wanted) if wanted else self.screen(turn)

    async def hear(self, turn: Turn) -> Screen:
        """The answer to our question."""
        wanted = read_hours(turn.said)
        if wanted is None:
            return self.screen(turn, turn.t("Please write two different whole hours, such as 22-8."))
        return await self._hold(turn, wanted)

    async def _hold(self, turn: Turn, quiet: Quiet | None) -> Screen:
        turn = turn.after(await self._chats.set_quiet(turn.account, quiet))
        return self._home.screen(turn, turn.t("✅ Changed."))

    def screen(self, turn: Turn, note: str = "") -> Screen:
        """The hours to choose from."""
        t, held = turn.t, quiet_of(turn)
        said = lines(
            note,
            t("In quiet hours we send you only what is urgent; the rest comes when they end."),
            t("Corrections and withdrawals of what you have got come at once, without a sound unless they are urgent."),
            t("Your clock: {zone}.", zone=zone_now(turn.zone, turn.now, t)),
        )
        choices = [(t("Off"), Press("qui", "off"))]
        choices += [(hours_in_words(t, one), Press("qui", str(one))) for one in _COMMON]
        if held and held not in _COMMON:
            choices.append((hours_in_words(t, held), Press("qui", str(held))))
        at = [None, *_COMMON].index(held) if held is None or held in _COMMON else len(choices) - 1
        rows = [*radio(choices, at), (t("Other hours…"), Press("qui", "ask")), back_home(t)]
        return Screen(said, column(rows))


def read_hours(typed: str) -> Quiet | None:
    """The hours that somebody means; None where there are not two different ones."""
    found = _HOURS.fullmatch(typed.strip()[:60])
    if found is None:
        return None
    try:
        return Quiet.parse(f"{int(found[1])}-{int(found[2])}")
    except ValueError:
        return None
