"""How often a person hears from us, and whether another language will do.

Rules, in order:

1. A digest's next moment is said in the reader's own zone; that urgent news does not wait for it is said where it is
   chosen.
2. The record of consent says what they get and how often, together.
3. Who has chosen nothing has nothing to hear of: they are asked for topics first.
"""

from __future__ import annotations

from bots.telegram.talk.home import Home, back_home
from bots.telegram.talk.screens import Press, Screen, column, lines, radio
from bots.telegram.talk.telling import PACES, Telling
from bots.telegram.talk.turns import Chats, Part, Turn
from syndicator.domain.model import OtherLanguage
from syndicator.store.subscriptions import Consent

__all__ = ["Habits"]

_ = str  # marks a text for the catalogues where it is not yet translated

_OTHER = {
    OtherLanguage.NEVER: _("Never"),
    OtherLanguage.URGENT: _("Only what is urgent"),
    OtherLanguage.ALWAYS: _("Always"),
}


class Habits:
    """The screens for the cadence and for other languages."""

    def __init__(self, chats: Chats, telling: Telling, home: Home) -> None:
        self._chats = chats
        self._telling = telling
        self._home = home

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(presses={"cad": self.cadence, "oth": self.other_language})

    async def cadence(self, turn: Turn, press: Press) -> Screen:
        """How often?"""
        t, chosen = turn.t, turn.chosen
        if chosen is None:
            said = t("You have chosen nothing, so we send you nothing.")
            return Screen(said, column([(t("Choose topics"), Press("m")), back_home(t)]))
        wanted = next((one for one in PACES if one == press.value), None)
        if wanted is not None and wanted is not turn.cadence:
            said = self._telling.agreed(turn, chosen, wanted, asked=True)
            consent = Consent(turn.now, "telegram", said)
            account = await self._chats.choose(turn.account, chosen, cadence=wanted, consent=consent, now=turn.now)
            turn = turn.after(account)
        if wanted is not None:
            return self._home.screen(turn, t("✅ Changed."))
        choices = [(t(name), Press("cad", one)) for one, name in PACES.items()]
        said = lines(
            t("How often shall we write to you? Now: {cadence}.", cadence=self._telling.how_often(turn)),
            t("Whatever you choose, urgent news comes at once."),
            t("Corrections and withdrawals of what you have got come at once in any case."),
        )
        return Screen(said, column([*radio(choices, list(PACES).index(turn.cadence)), back_home(t)]))

    async def other_language(self, turn: Turn, press: Press) -> Screen:
        """What if a release is not in their language?"""
        t = turn.t
        choices = (OtherLanguage.NEVER, OtherLanguage.URGENT, OtherLanguage.ALWAYS)
        wanted = next((one for one in choices if one == press.value), None)
        if wanted is not None:
            turn = turn.after(await self._chats.set_reading(turn.account, other_language=wanted))
            return self._home.screen(turn, t("✅ Changed."))
        rows = [(t(_OTHER[one]), Press("oth", one)) for one in choices]
        said = t("Some releases are not published in your language. Shall we send them to you in another one?")
        held = choices.index(turn.subscriber.other_language)
        return Screen(said, column([*radio(rows, held), back_home(t)]))
