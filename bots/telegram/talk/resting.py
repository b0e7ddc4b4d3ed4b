"""A pause that a person asks for, its end, and leaving for good.

Rules, in order:

1. A pause holds until its time, or until "Resume" is pressed; writing to the bot does not end it, and screens say that
   it holds. What is published meanwhile is not made up.
2. The time counts from the press: a button that is pressed again begins the pause anew.
3. Leaving takes effect at once. What was chosen can be taken back from the good-bye, where it fits into a button.
"""

from __future__ import annotations

from datetime import timedelta

from bots.telegram.talk.home import Home, back_home
from bots.telegram.talk.screens import Press, Screen, column, lines
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Chats, Command, Part, Turn
from syndicator.domain.deeplink import payload_of
from syndicator.domain.filters import Filter
from syndicator.store.subscriptions import Consent

__all__ = ["Resting"]

_ = str  # marks a text for the catalogues where it is not yet translated

_SPANS = {"1d": timedelta(days=1), "7d": timedelta(days=7), "on": None}
_NAMES = {"1d": _("1 day"), "7d": _("1 week"), "on": _("Until I say so")}


class Resting:
    """/pause, /stop, and the presses of their buttons."""

    def __init__(self, chats: Chats, telling: Telling, home: Home) -> None:
        self._chats = chats
        self._telling = telling
        self._home = home

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[
                Command("pause", _("nothing for a while"), 70, self.ask),
                Command("stop", _("unsubscribe from everything"), 100, self.stop),
            ],
            presses={"rest": self.rest, "back": self.resume, "stop": self.stop_pressed},
        )

    async def ask(self, turn: Turn) -> Screen:
        """/pause: for how long?"""
        return self.screen(turn)

    async def rest(self, turn: Turn, press: Press) -> Screen:
        """For so long; or show how long it may be."""
        if press.value not in _SPANS:
            return self.screen(turn)
        span = _SPANS[press.value]
        turn = turn.after(await self._chats.rest(turn.account, None if span is None else turn.now + span, now=turn.now))
        return self._home.screen(turn)

    async def resume(self, turn: Turn, _press: Press) -> Screen:
        """The pause is over."""
        turn = turn.after(await self._chats.resume(turn.account, now=turn.now))
        return self._telling.summary(turn, turn.t("The pause is over."))

    async def stop_pressed(self, turn: Turn, _press: Press) -> Screen:
        """The button that says what /stop says."""
        return await self.stop(turn)

    async def stop(self, turn: Turn) -> Screen:
        """/stop: nothing more, from now on."""
        had, cadence = turn.chosen, turn.cadence
        await self._chats.choose(turn.account, None, consent=Consent(turn.now, "telegram", "/stop"), now=turn.now)
        t = turn.t
        said = t("You are unsubscribed. We send you nothing more. To choose topics again, send /start.")
        rows = [(t("Choose topics"), Press("m"))]
        if had is not None and (undone := _undoing(had)) is not None:
            rows.insert(0, (t("Take it back"), Press("u", cadence, 0, undone)))
        return Screen(said, column(rows))

    def screen(self, turn: Turn) -> Screen:
        """How long may it be?"""
        t = turn.t
        rows = [(t(name), Press("rest", value)) for value, name in _NAMES.items()]
        if turn.subscriber.is_resting:
            rows.insert(0, (t("Resume"), Press("back")))
        asked = t(
            "For how long shall we send you nothing? What is published meanwhile is not sent later; it stays on the "
            "site."
        )
        said = lines(self._telling.pause(turn), asked)
        return Screen(said, column([*rows, back_home(t)]))


def _undoing(had: Filter) -> str | None:
    """What brings all of it back; None where it does not fit into a button."""
    carried, payload = payload_of(had)
    return payload if carried == had else None
