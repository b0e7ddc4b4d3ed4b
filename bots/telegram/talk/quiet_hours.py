"""Quiet hours: some to choose from, or any by typing such as `22-8`.

Rules, in order:

1. Hours are whole ones of the reader's own clock, which the screen names.
2. What is typed is read generously: `22-8`, `22:00 – 08:00`, `22 to 8`, `10 pm - 8 am`, also in the other languages.
   Two hours must be in it, and no minutes; 24 is midnight.
3. Nothing is guessed. A word that is not known here may mean another hour, and so may `10 pm - 8`: what cannot be read
   whole changes nothing, and is answered with what can.
"""

from __future__ import annotations

import re

from bots.telegram.talk.home import Home, back_home, hours_in_words
from bots.telegram.talk.screens import Press, Screen, column, lines, question, radio
from bots.telegram.talk.turns import Chats, Part, Turn, quiet_of
from bots.telegram.talk.zone_names import zone_now
from syndicator.domain.quiet import Quiet

__all__ = ["QuietHours", "read_hours"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ASKED = _("Which hours should be quiet? Write two hours, for example: 22-8")
_COMMON = (Quiet(21, 9), Quiet(22, 8), Quiet(23, 7))
_TYPED = 60
_PIECE = re.compile(
    r"(?P<hour>[0-9]{1,2})(?:[:.]00)?(?![0-9]|[:.][0-9])|(?P<word>[^\W\d_]+)"
    r"|[-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN},.…]|\s+"
)
_BESIDE = {"from", "to", "till", "until", "between", "and", "in", "at", "the", "с", "со", "до", "от", "по", "и"}
_BESIDE |= {"часов", "часа", "час", "saat", "saatdan", "dan", "dən", "ə", "a", "dək", "qədər", "və", "ya", "yə"}
_AFTER = {"am": "am", "morning": "am", "утра": "am", "pm": "pm", "afternoon": "pm", "evening": "pm", "дня": "pm"}
_AFTER |= {"вечера": "pm", "night": "night", "ночи": "night"}
_BEFORE = {"səhər": "am", "günorta": "pm", "axşam": "pm", "gecə": "night"}


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
        turn = turn.after(await self._chats.set_quiet(turn.account, quiet, now=turn.now))
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
    """The hours that somebody means; None where there are not two different ones, or something else is said too."""
    hours = _hours(typed.strip().lower().replace("a.m.", "am").replace("p.m.", "pm"))
    if hours is None or len(hours) != 2:  # begin and end
        return None
    (begins, first), (ends, second) = hours
    if bool(first) != bool(second) and 1 <= (ends if first else begins) <= 12:  # of which half is it?
        return None
    read = [_of_day(hour, half) for hour, half in hours]
    return Quiet.parse(f"{read[0]}-{read[1]}") if None not in read else None


def _hours(typed: str) -> list[tuple[int, str]] | None:
    """The hours in it as they are written, each with the half of the day said beside it; None: not only that."""
    found: list[tuple[int, str]] = []
    at, before = 0, ""
    while at < len(typed):
        piece = _PIECE.match(typed, at) if len(typed) <= _TYPED else None
        if piece is None:
            return None
        at, word = piece.end(), piece["word"]
        if piece["hour"]:
            found.append((int(piece["hour"]), before))
            before = ""
        elif word in _BEFORE and not before:
            before = _BEFORE[word]
        elif word in _AFTER and found and not found[-1][1]:
            found[-1] = (found[-1][0], _AFTER[word])
        elif word and word not in _BESIDE:
            return None
    return None if before else found


def _of_day(hour: int, half: str) -> int | None:
    """The hour of the day, 0 to 23; None where there is none such."""
    if not half:
        return hour % 24 if hour <= 24 else None
    if not 1 <= hour <= 12:
        return None
    late = half == "pm" or (half == "night" and hour in range(6, 12))
    return hour % 12 + (12 if late else 0)
