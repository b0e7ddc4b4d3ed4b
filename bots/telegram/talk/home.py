"""/settings: everything that a person can set, on one screen that is edited in place.

Rules, in order:

1. Each line says what holds now; each button leads to the screen that changes it, and that one leads back.
2. What has just changed is said above, in `note`.
"""

from __future__ import annotations

from bots.telegram.talk.screens import Press, Screen, button, column, lines
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Command, Part, Turn, quiet_of
from bots.telegram.talk.zone_names import zone_now
from syndicator.domain.model import OtherLanguage
from syndicator.domain.quiet import Quiet
from syndicator.i18n import Translator
from syndicator.wording import language_name

__all__ = ["Home", "back_home", "hours_in_words", "other_language_in_words"]

_ = str  # marks a text for the catalogues where it is not yet translated

_OTHER = {
    OtherLanguage.NEVER: _("never"),
    OtherLanguage.URGENT: _("only what is urgent"),
    OtherLanguage.ALWAYS: _("always"),
}


class Home:
    """The screen from which all others are reached."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(commands=[Command("settings", _("all settings"), 50, self.ask)], presses={"set": self.show})

    async def ask(self, turn: Turn) -> Screen:
        """/settings."""
        return self.screen(turn)

    async def show(self, turn: Turn, _press: Press) -> Screen:
        """Back to all settings."""
        return self.screen(turn)

    def screen(self, turn: Turn, note: str = "") -> Screen:
        """All that holds now."""
        t = turn.t
        said = lines(note, self._telling.pause(turn), "\n".join(f"• {line}" for line in self._held(turn)))
        rows = [
            (t("Topics"), Press("m")),
            (t("Words"), Press("wrd")),
            (t("Language"), Press("lang")),
            (t("How often"), Press("cad")),
            (t("Quiet hours"), Press("qui")),
            (t("Time zone"), Press("zon")),
            (t("Other languages"), Press("oth")),
            (t("Resume"), Press("back")) if turn.subscriber.is_resting else (t("Pause"), Press("rest")),
        ]
        keyboard = column(rows, wide=2)
        stop = [] if turn.chosen is None else [(button(t("Unsubscribe"), Press("stop")),)]
        return Screen(said, type(keyboard)((*keyboard.inline_keyboard, *stop)))

    def _held(self, turn: Turn) -> list[str]:
        t, who, chosen = turn.t, turn.subscriber, turn.chosen
        topics = t("nothing chosen") if chosen is None else self._telling.within(turn, chosen)
        language = language_name(who.language, t)
        return [
            t("Subscription: {choice}", choice=topics),
            t("Language: {language}", language=language),
            t("How often: {cadence}", cadence=self._telling.how_often(turn) if chosen is not None else "—"),
            t("Quiet hours: {hours}", hours=hours_in_words(t, quiet_of(turn))),
            t("Time zone: {zone}", zone=zone_now(turn.zone, turn.now, t)),
            t(
                "In another language if yours is missing: {choice}",
                choice=other_language_in_words(t, who.other_language),
            ),
        ]


def back_home(t: Translator) -> tuple[str, Press]:
    """The button that leads back."""
    return ("‹ " + t("Settings"), Press("set"))


def hours_in_words(t: Translator, quiet: Quiet | None) -> str:
    """Such as 22:00-08:00, or that there are none."""
    return f"{quiet.begins:02}:00–{quiet.ends:02}:00" if quiet else t("none")


def other_language_in_words(t: Translator, choice: OtherLanguage) -> str:
    """Whether another language will do, in the middle of a sentence."""
    return t(_OTHER[choice])
